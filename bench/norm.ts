/**
 * Benchmark of the Euclidean norm of a gradient (float32 squares summed in float64), against tfjs, a loop that only
 * reads, and native C.
 */
import { gradientValues } from "./data.ts";
import type { Benchmark } from "./bench.ts";
import { compare, timed } from "./harness.ts";
import { kernelNorm } from "./kernel_step.ts";
import { nativeNorm } from "./rivals/native.ts";
import { sameBytes, TRAFFIC } from "./rivals/same_bytes.ts";
import { startTfjs, tfjsNorm } from "./rivals/tfjs.ts";
import { ratioRow, showCount, skippedRow } from "./row.ts";

export const normBenchmark: Benchmark = {
  name: "norm",
  async *rows({ counts, compare: options, native }) {
    await startTfjs();
    for (const count of counts) {
      const work = `norm ${showCount(count)}`;
      const values = gradientValues(count, 3);
      const norm = kernelNorm(values);
      const ours = timed("stepwell", norm);

      const tfjs = tfjsNorm(values);
      checkNorm(`${work} against tfjs`, norm(), tfjs.norm(), 1e-2);
      yield ratioRow(work, "tfjs-wasm", await compare(ours, timed("tfjs", tfjs.norm), options));
      tfjs.dispose();

      const reading = sameBytes(TRAFFIC.Norm, count);
      yield ratioRow(work, reading.name, await compare(ours, timed(reading.name, reading.step), options));

      if (native === null) {
        yield skippedRow(work, "native C", "no C compiler (cc) at hand");
        continue;
      }
      const c = nativeNorm(native, values);
      checkNorm(`${work} against native C`, norm(), c(), 1e-12);
      yield ratioRow(work, "native C", await compare(ours, timed("native C", c), options));
    }
  },
};

/** Needs a tolerance, because tfjs sums one by one in float32: at ten million elements its norm is off by 0.5 %. */
function checkNorm(work: string, found: number, wanted: number, tolerance: number): void {
  if (!(Math.abs(found / wanted - 1) <= tolerance)) {
    throw new Error(`Cannot time ${work}: the norm is ${found}, must be ${wanted}`);
  }
}
