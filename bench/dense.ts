/**
 * Benchmarks of dense steps of SGD, SGD with momentum, Adam and Adagrad at each size: kernels against tfjs, against
 * the memory limit and against native C. There is one benchmark per rule.
 */
import type { Benchmark, Context } from "./bench.ts";
import { checkEqual, compare, timed } from "./harness.ts";
import { kernelStepper } from "./kernel_step.ts";
import { nativeStepper } from "./rivals/native.ts";
import { sameBytes, TRAFFIC } from "./rivals/same_bytes.ts";
import { startTfjs, tfjsStepper } from "./rivals/tfjs.ts";
import { type Goal, ratioRow, type Row, showCount, skippedRow } from "./row.ts";
import { DENSE_RULES, type DenseRule, denseWork, type Stepper } from "./work.ts";

const CHECKED_STEPS = 3;

/** Goals by size; rules without goals are measured too. */
const TFJS_GOALS: Partial<Record<DenseRule, Record<number, number>>> = {
  Adam: { 1_000: 80, 100_000: 6, 1_000_000: 7, 10_000_000: 7 },
};
const LIMIT_GOALS: Partial<Record<DenseRule, Record<number, number>>> = { Adam: { 10_000_000: 0.9 } };

export const denseBenchmarks: readonly Benchmark[] = DENSE_RULES.map((rule) => ({
  name: rule.toLowerCase(),
  rows: (context) => denseRows(rule, context),
}));

async function* denseRows(rule: DenseRule, context: Context): AsyncGenerator<Row> {
  await startTfjs();
  const atLeast = (value: number | undefined): Goal | null =>
    value === undefined ? null : { relation: "≥", value };
  for (const count of context.counts) {
    const work = denseWork(rule, count);
    const title = `${rule} ${showCount(count)}`;
    const ours = kernelStepper(work);
    const against = async (rival: Stepper, goal: Goal | null) => {
      const comparison = await compare(contender(ours), contender(rival), context.compare);
      rival.dispose();
      return ratioRow(title, rival.name, comparison, { goal });
    };

    const tfjs = tfjsStepper(work);
    checkSteps(title, ours, tfjs, 1e-5);
    yield await against(tfjs, atLeast(TFJS_GOALS[rule]?.[count]));
    yield await against(sameBytes(TRAFFIC[rule], count), atLeast(LIMIT_GOALS[rule]?.[count]));
    if (context.native === null) {
      yield skippedRow(title, "native C", "no C compiler (cc) at hand");
      continue;
    }
    checkSteps(title, kernelStepper(work), nativeStepper(context.native, work), 0);
    yield await against(nativeStepper(context.native, work), null);
  }
}

const contender = (stepper: Stepper) => timed(stepper.name, () => stepper.step());

/** Takes the same first steps with both and compares the variable. */
export function checkSteps(work: string, ours: Stepper, rival: Stepper, tolerance: number): void {
  for (let i = 0; i < CHECKED_STEPS; i += 1) {
    ours.step();
    rival.step();
  }
  checkEqual(`${work} against ${rival.name}`, ours.values(), rival.values(), tolerance);
}
