/**
 * Benchmark of the whole service, Adam at 1k, 1M and 10M parameters, against FastAPI + torch: server CPU per step in
 * alternating bursts, with the wall time of a step as a note.
 */
import type { Benchmark } from "./bench.ts";
import { gradientValues } from "./data.ts";
import { cpuContender } from "./cpu_contender.ts";
import { checkEqual, compare, type CompareOptions } from "./harness.ts";
import { HttpConnection } from "./http_connection.ts";
import { startFastapi } from "./rivals/fastapi_torch.ts";
import { PYTHON_MISSING } from "./rivals/python.ts";
import { type Goal, ratioRow, showCount, showUs, skippedRow } from "./row.ts";
import { startBenchedService } from "./service_work.ts";

const GOALS: readonly (readonly [count: number, goal: number])[] = [
  [1_000, 4],
  [1_000_000, 1.5],
  [10_000_000, 2.5],
];
const CHECKED_STEPS = 3;
/** CPU time comes in ticks of 10 ms; in bursts of half a second, a tick is below the spread that counts as noisy. */
const BURST_MS = 500;

export const serviceBenchmark: Benchmark = {
  name: "service",
  async *rows({ compare: options, quick }) {
    for (const [count, value] of GOALS) {
      const work = `service, Adam ${showCount(count)}`;
      const goal: Goal = { relation: "≥", value };
      const gradient = gradientValues(count, 2);
      const rival = await startFastapi(count);
      if (rival === null) {
        yield skippedRow(work, "FastAPI + torch, CPU", PYTHON_MISSING, goal);
        continue;
      }
      const ours = await startBenchedService(gradient);
      const connection = await HttpConnection.open(rival.url);
      const body = new Uint8Array(gradient.buffer);
      const rivalStep = async () => {
        await connection.request("POST", "/gradients", { type: "application/octet-stream", body });
      };
      try {
        for (let i = 0; i < CHECKED_STEPS; i += 1) await Promise.all([ours.step(), rivalStep()]);
        const found = await connection.request("GET", "/variables");
        checkEqual(`${work} against FastAPI`, await ours.values(), new Float32Array(found.body.buffer), 1e-5);

        const bursts: CompareOptions = { ...options, burstMs: quick ? BURST_MS / 2 : BURST_MS, tries: 1 };
        const a = cpuContender("stepwell", ours.pid, () => ours.step());
        const b = cpuContender("FastAPI + torch", rival.pid, rivalStep);
        const comparison = await compare(a, b, bursts);
        const wall = `wall ${showUs(a.wallUs())} / ${showUs(b.wallUs())}`;
        yield ratioRow(work, "FastAPI + torch, CPU", comparison, { goal, note: wall });
      } finally {
        connection.close();
        await Promise.all([ours.stop(), rival.stop()]);
      }
    }
  },
};
