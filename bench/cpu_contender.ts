/** Contenders that are servers: what counts is the CPU time of their process, not of the client. */
import { type Contender, quantile } from "./harness.ts";
import { cpuUs } from "./process_figures.ts";

/** A contender whose cost is the server's CPU time; it records the wall time too. */
export function cpuContender(
  name: string,
  pid: number,
  step: () => Promise<void>,
): Contender & { wallUs(): number } {
  const walls: number[] = [];
  return {
    name,
    async cost(count) {
      const cpuStart = cpuUs(pid), start = performance.now();
      for (let i = 0; i < count; i += 1) await step();
      walls.push(((performance.now() - start) * 1000) / count);
      return cpuUs(pid) - cpuStart;
    },
    wallUs: () => quantile(walls, 0.5),
  };
}
