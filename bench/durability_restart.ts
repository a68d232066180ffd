/** How soon a service with stored runs is usable after a start, and how a snapshot affects other requests. */
import { startService } from "../examples/service_process.ts";
import { openRun, type StoredService, withService } from "./durability_work.ts";
import { quantile } from "./harness.ts";
import { HttpConnection } from "./http_connection.ts";
import { countRow, type Row, showUs } from "./row.ts";

const MB = 1e6;

/** Measures the recovery of a run at its first use after a start. */
export async function* recovery(steps: number): AsyncIterable<Row> {
  yield await withService(async (service, connection) => {
    const step = await openRun(connection, { id: "bench", count: 1_000_000 });
    for (let i = 0; i < steps; i += 1) await step();
    const bytes = service.journalBytes();
    return await recovered(service, { work: `journal of ${steps} steps of 1M`, bytes });
  });
  yield await withService(async (service, connection) => {
    const step = await openRun(connection, { id: "bench", count: 10_000_000 });
    await step();
    await service.registry.shutdown();
    return await recovered(service, { work: "snapshot of Adam 10M", bytes: 12 * 10_000_000 });
  });
}

async function recovered(
  service: StoredService,
  { work, bytes }: { work: string; bytes: number },
): Promise<Row> {
  const registry = await service.reopened();
  const start = performance.now();
  registry.get("bench");
  const ms = performance.now() - start;
  return countRow(work, "recovery, a second", {
    figure: bytes / MB / (ms / 1000),
    unit: "MB",
    note: `${(bytes / MB).toFixed(0)} MB in ${ms.toFixed(0)} ms, no other request is served meanwhile`,
  });
}

export async function startWithRuns(runs: number): Promise<Row> {
  const folder = await Deno.makeTempDir();
  const env = { STEPWELL_DATA: folder };
  const first = await startService(env);
  const connections = await Promise.all(Array.from({ length: 16 }, () => HttpConnection.open(first.url)));
  const start = performance.now();
  await Promise.all(connections.map(async (connection, lane) => {
    for (let run = lane; run < runs; run += connections.length) {
      await openRun(connection, { id: `bench-${run}`, count: 10 });
    }
  }));
  const createMs = performance.now() - start;
  connections.forEach((connection) => connection.close());
  await first.stop();
  const times: number[] = [];
  for (let i = 0; i < 3; i += 1) {
    const begun = performance.now();
    const service = await startService(env);
    times.push(performance.now() - begun);
    await service.stop();
  }
  await Deno.remove(folder, { recursive: true });
  return countRow(`start with ${runs} runs on disk`, "warm cache", {
    figure: quantile(times, 0.5),
    unit: "ms",
    goal: { relation: "≤", value: 2000 },
    note: `3 starts: ${times.map((ms) => ms.toFixed(0)).join(", ")}; created in ${
      (createMs / 1000).toFixed(1)
    } s`,
  });
}

/** How long other requests wait while a large run is written: reads of a small run, one after the other. */
export function snapshotPause(snapshots: number): Promise<Row> {
  return withService(async (service, connection) => {
    const step = await openRun(connection, { id: "large", count: 10_000_000 });
    await openRun(connection, { id: "small", count: 10 });
    const read = async (ms: number[]) => {
      const start = performance.now();
      await connection.request("GET", "/v1/runs/small/variables");
      ms.push(performance.now() - start);
    };
    const during: number[] = [], before: number[] = [];
    let snapshotMs = 0;
    for (let i = 0; i < snapshots; i += 1) {
      await step();
      for (let reads = 0; reads < 200; reads += 1) await read(before);
      let isOver = false;
      const start = performance.now();
      const over = service.registry.sweep({ idleMs: Infinity }).then(() => {
        snapshotMs += performance.now() - start;
        isOver = true;
      });
      while (!isOver) await read(during);
      await over;
    }
    const show = (ms: number[]) =>
      `p99 ${showUs(quantile(ms, 0.99) * 1000)}, longest ${showUs(Math.max(...ms) * 1000)}`;
    return countRow("read during a snapshot of 120 MB", "p99", {
      figure: quantile(during, 0.99),
      unit: "ms",
      note: `${show(during)}; otherwise ${show(before)}; ${
        (snapshotMs / snapshots).toFixed(0)
      } ms per snapshot`,
    });
  });
}
