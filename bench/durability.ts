/**
 * Benchmark of durability: bytes written, flushes, and step times with and without the journal. durability_restart.ts
 * measures starts, recoveries and snapshots.
 */
import { decodeTensors } from "../examples/safetensors.ts";
import { startService } from "../examples/service_process.ts";
import type { Benchmark } from "./bench.ts";
import { recovery, snapshotPause, startWithRuns } from "./durability_restart.ts";
import { openRun, withService } from "./durability_work.ts";
import { checkEqual, compare, type CompareOptions, type Contender, timedAsync } from "./harness.ts";
import { HttpConnection } from "./http_connection.ts";
import { countRow, ratioRow, type Row, showCount, showUs } from "./row.ts";
import { SAFETENSORS } from "./service_work.ts";

const SIZES = [1_000, 1_000_000, 10_000_000];

export const durabilityBenchmark: Benchmark = {
  name: "durability",
  async *rows({ compare: options, quick }) {
    yield await bytesWritten();
    yield* flushes(quick ? 200 : 1000);
    for (const count of SIZES) yield await journalAgainstNone(count, options);
    yield* recovery(quick ? 20 : 50);
    yield await startWithRuns(5_000);
    yield await snapshotPause(quick ? 3 : 10);
  },
};

function bytesWritten(): Promise<Row> {
  const count = 1_000_000, steps = 8;
  return withService(async (service, connection) => {
    const step = await openRun(connection, { id: "bench", count });
    const before = service.journalBytes();
    for (let i = 0; i < steps; i += 1) await step();
    const bytes = service.journalBytes() - before;
    return countRow(`journal of ${steps} steps of ${showCount(count)}`, "bytes of the gradients", {
      figure: bytes / (4 * count * steps),
      unit: "x",
      goal: { relation: "≤", value: 1.01 },
      note: `${(bytes / steps - 4 * count).toFixed(0)} more bytes per step`,
    });
  });
}

async function* flushes(requests: number): AsyncIterable<Row> {
  for (const clients of [1, 16]) {
    for (const runs of clients === 1 ? [1] : [1, clients]) {
      yield await withService(async (service, connection) => {
        const steps: ((connection: HttpConnection) => Promise<void>)[] = [];
        for (let run = 0; run < runs; run += 1) {
          steps.push(await openRun(connection, { id: `bench-${run}`, count: 1000 }));
        }
        const connections = await Promise.all(
          Array.from({ length: clients }, () => HttpConnection.open(service.url)),
        );
        const before = service.flushes, start = performance.now();
        await Promise.all(connections.map(async (own, client) => {
          for (let i = client; i < requests; i += clients) await steps[client % runs]?.(own);
        }));
        const us = ((performance.now() - start) * 1000) / requests;
        connections.forEach((own) => own.close());
        const work = `${clients} ${clients === 1 ? "client" : "clients"} on ${runs} ${
          runs === 1 ? "run" : "runs"
        }`;
        return countRow(work, "flushes a step", {
          figure: (service.flushes - before) / requests,
          unit: "flushes",
          goal: { relation: "≤", value: 1 },
          note: `${showUs(us)} per step`,
        });
      });
    }
  }
}

/** Wall time of a step over HTTP. Large steps get fewer rounds, because every step is written to disk. */
async function journalAgainstNone(count: number, options: CompareOptions): Promise<Row> {
  const service = await startService();
  const connection = await HttpConnection.open(service.url);
  const rounds = Math.min(options.rounds, count > 1e6 ? 5 : 11);
  try {
    const contenders = [];
    for (const durability of ["journal", "none"] as const) {
      const step = await openRun(connection, { id: durability, count, durability });
      await step();
      contenders.push(timedAsync(durability, step));
    }
    const [journal, none] = contenders as [Contender, Contender];
    const values = async (id: string) => {
      const answer = await connection.request("GET", `/v1/runs/${id}/slots/m`, { accept: SAFETENSORS });
      return decodeTensors(answer.body).tensors.get("w")?.values as Float32Array;
    };
    checkEqual("a step with a journal", await values("journal"), await values("none"));
    return ratioRow(
      `step with journal, Adam ${showCount(count)}`,
      "durability none",
      await compare(journal, none, {
        ...options,
        rounds,
        tries: 1,
      }),
      { as: "cost" },
    );
  } finally {
    connection.close();
    await service.stop();
  }
}
