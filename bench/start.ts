/**
 * Benchmark of `deno task start`: the time until the service reports that it is ready, with everything cached, and
 * the resident memory of the idle service.
 */
import { startService } from "../examples/service_process.ts";
import type { Benchmark } from "./bench.ts";
import { quantile } from "./harness.ts";
import { residentBytes } from "./process_figures.ts";
import { countRow } from "./row.ts";

const STARTS = 7;
const MB = 1e6;

export const startBenchmark: Benchmark = {
  name: "start",
  async *rows() {
    const times: number[] = [], resident: number[] = [];
    for (let i = 0; i < STARTS; i += 1) {
      const start = performance.now();
      const service = await startService();
      times.push(performance.now() - start);
      resident.push(residentBytes(service.pid) / MB);
      await service.stop();
    }
    const range = (values: number[]) =>
      `${STARTS} starts: ${Math.min(...values).toFixed(0)}-${Math.max(...values).toFixed(0)}`;
    yield countRow("start until ready", "warm cache", {
      figure: quantile(times, 0.5),
      unit: "ms",
      goal: { relation: "≤", value: 1000 },
      note: range(times),
    });
    yield countRow("idle service", "resident memory", {
      figure: quantile(resident, 0.5),
      unit: "MB",
      goal: { relation: "≤", value: 150 },
      note: range(resident),
    });
  },
};
