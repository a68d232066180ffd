/**
 * Benchmark of ten thousand small runs in one service: each is created, takes a step and is read. Measures times and
 * resident memory.
 */
import { encodeTensors } from "../examples/safetensors.ts";
import { startService } from "../examples/service_process.ts";
import type { Benchmark } from "./bench.ts";
import { quantile } from "./harness.ts";
import { HttpConnection } from "./http_connection.ts";
import { residentBytes } from "./process_figures.ts";
import { countRow } from "./row.ts";
import { SAFETENSORS } from "./service_work.ts";

const CONNECTIONS = 4;
const METRICS_READS = 31;
const VARIABLES = [{ name: "kernel", shape: [4, 3] }, { name: "bias", shape: [3] }];

export const smallRunsBenchmark: Benchmark = {
  name: "small_runs",
  async *rows({ quick }) {
    const runs = quick ? 1000 : 10_000;
    const service = await startService();
    const connections = await Promise.all(
      Array.from({ length: CONNECTIONS }, () => HttpConnection.open(service.url)),
    );
    /** Performs `operation` once for each run, on all connections in parallel; returns milliseconds. */
    const forEachRun = async (operation: (connection: HttpConnection, run: number) => Promise<unknown>) => {
      const start = performance.now();
      await Promise.all(connections.map(async (connection, lane) => {
        for (let run = lane; run < runs; run += CONNECTIONS) await operation(connection, run);
      }));
      return performance.now() - start;
    };
    const idleBytes = residentBytes(service.pid);
    const optimizer = { class_name: "Adam" };
    const createMs = await forEachRun((connection, run) => {
      const spec = JSON.stringify({ id: `small-${run}`, optimizer, variables: VARIABLES });
      return connection.request("POST", "/v1/runs", { body: new TextEncoder().encode(spec) });
    });
    const gradients = encodeTensors({
      kernel: { shape: [4, 3], values: new Float32Array(12).fill(0.5) },
      bias: { shape: [3], values: new Float32Array(3).fill(-0.5) },
    });
    const stepMs = await forEachRun((connection, run) =>
      connection.request("POST", `/v1/runs/small-${run}/gradients`, { type: SAFETENSORS, body: gradients })
    );
    const readMs = await forEachRun(async (connection, run) => {
      const { body } = await connection.request("GET", `/v1/runs/small-${run}`);
      const { iterations } = JSON.parse(new TextDecoder().decode(body)) as { iterations: number };
      if (iterations !== 1) throw new Error(`Run small-${run} is at iteration ${iterations}, must be at 1`);
    });
    const metricsMs: number[] = [];
    for (let read = 0; read < METRICS_READS; read += 1) {
      const start = performance.now();
      await connections[0]?.request("GET", "/metrics");
      metricsMs.push(performance.now() - start);
    }
    const bytes = residentBytes(service.pid) - idleBytes;
    connections.forEach((connection) => connection.close());
    await service.stop();

    const each = (ms: number) => ({
      figure: ms,
      unit: "ms",
      note: `${((ms * 1000) / runs).toFixed(0)} µs each`,
    } as const);
    yield countRow(`${runs} small runs`, "created", each(createMs));
    yield countRow(`${runs} small runs`, "a step each", each(stepMs));
    yield countRow(`${runs} small runs`, "read, at iteration 1", each(readMs));
    yield countRow(`${runs} small runs`, "/metrics", {
      figure: quantile(metricsMs, 0.5),
      unit: "ms",
      goal: { relation: "≤", value: 2 },
      note: `median of ${METRICS_READS}`,
    });
    yield countRow(`${runs} small runs`, "resident memory", {
      figure: bytes / 1e6,
      unit: "MB",
      note: `${(bytes / runs / 1000).toFixed(1)} kB each`,
    });
  },
};
