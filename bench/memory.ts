/**
 * Benchmark of a run's memory: the service's resident bytes before a run of 10M parameters, after its creation, after
 * steps and after reads, in copies of the model (4 bytes per parameter). Adam has 3 copies (variable, m, v), a
 * gradient being received is 1, and what readers get is at most 1.
 */
import type { Benchmark } from "./bench.ts";
import { gradientValues } from "./data.ts";
import { residentBytes } from "./process_figures.ts";
import { countRow } from "./row.ts";
import { startBenchedService } from "./service_work.ts";

const COUNT = 10_000_000;
const COPY_BYTES = 4 * COUNT;
const STEPS = 5;
/** Buffers of the HTTP server, compiled code and the garbage collector's slack, in copies: 20 MB. */
const SLACK = 0.5;

export const memoryBenchmark: Benchmark = {
  name: "memory",
  async *rows() {
    // A service with a tiny run shows the memory that does not depend on the run's size.
    const tiny = await startBenchedService(gradientValues(1, 2));
    await tiny.step();
    const baseBytes = residentBytes(tiny.pid);
    await tiny.stop();

    const service = await startBenchedService(gradientValues(COUNT, 2));
    const row = (after: string, copies: number, what: string) => {
      const bytes = residentBytes(service.pid) - baseBytes;
      return countRow(`Adam 10M, memory after ${after}`, "process with a tiny run", {
        figure: bytes / COPY_BYTES,
        unit: "copies",
        goal: { relation: "≤", value: copies + SLACK },
        note: `${(bytes / 1e6).toFixed(0)} MB more: ${what}`,
      });
    };
    yield row("create", 4, "variables, slots, initial values on their way in");
    for (let i = 0; i < STEPS; i += 1) await service.step();
    yield row(`${STEPS} steps`, 4, "variables, slots, staging");
    for (let i = 0; i < STEPS; i += 1) await service.values();
    await service.step();
    yield row(`${STEPS} reads`, 5, "variables, slots, staging, one published copy");
    await service.stop();
  },
};
