/**
 * Benchmark of Adam with clipping by the global norm. Ours, with the clip factor fused into the step, is compared
 * with tfjs, which scales a copy of the gradient, and with Adam alone.
 */
import type { Benchmark } from "./bench.ts";
import { checkSteps } from "./dense.ts";
import { compare, timed } from "./harness.ts";
import { kernelStepper } from "./kernel_step.ts";
import { startTfjs, tfjsStepper } from "./rivals/tfjs.ts";
import { ratioRow, showCount } from "./row.ts";
import { denseWork, type Stepper } from "./work.ts";

/** Below the norm of every gradient here, so that the clip takes effect. */
const CLIP_NORM = 1;

export const clipBenchmark: Benchmark = {
  name: "clip",
  async *rows({ counts, compare: options }) {
    await startTfjs();
    for (const count of counts) {
      const work = `Adam + global clip ${showCount(count)}`;
      const dense = denseWork("Adam", count);
      const clip = { clipNorm: CLIP_NORM };
      const ours = kernelStepper(dense, clip);
      const tfjs = tfjsStepper(dense, clip);
      // A wide tolerance, because tfjs adds epsilon after the bias correction, and clipped gradients are small beside it.
      checkSteps(work, ours, tfjs, 1e-2);
      yield ratioRow(work, tfjs.name, await compare(contender(ours), contender(tfjs), options));
      tfjs.dispose();

      const alone = kernelStepper(dense);
      const comparison = await compare(contender(ours), contender(alone), options);
      yield ratioRow(work, "Adam alone", comparison, { as: "cost" });
    }
  },
};

const contender = (stepper: Stepper) => timed(stepper.name, () => stepper.step());
