/**
 * Benchmark of sparse rows, kernels against tfjs and torch: an Adagrad step on 10,000 rows, one in five repeated, of
 * a table of 1,000,000 x 64, and on one in a hundred rows of smaller tables.
 */
import type { Benchmark, Context } from "./bench.ts";
import { checkEqual, compare, timed } from "./harness.ts";
import { tfjsSparseStepper } from "./rivals/tfjs_sparse.ts";
import { startTfjs } from "./rivals/tfjs.ts";
import { PYTHON_MISSING } from "./rivals/python.ts";
import { startTorchSparse } from "./rivals/torch_sparse.ts";
import { type Goal, ratioRow, type Row, showCount, skippedRow } from "./row.ts";
import { sparseKernelStepper, type SparseWork, sparseWork } from "./sparse_work.ts";

const WIDTH = 64;
const TFJS_GOAL: Goal = { relation: "≥", value: 100 };
const TORCH_GOAL: Goal = { relation: "≥", value: 4 };

export const sparseBenchmark: Benchmark = {
  name: "sparse",
  async *rows(context) {
    await startTfjs();
    for (const count of context.counts) {
      const rows = Math.ceil(count / WIDTH);
      const touched = Math.max(4, Math.floor(rows / 100));
      yield* sparseRows(sparseWork(rows, WIDTH, touched), context, null);
    }
    yield* sparseRows(sparseWork(1_000_000, WIDTH, 10_000), context, {
      tfjs: TFJS_GOAL,
      torch: TORCH_GOAL,
    });
  },
};

async function* sparseRows(
  work: SparseWork,
  context: Context,
  goals: { tfjs: Goal; torch: Goal } | null,
): AsyncGenerator<Row> {
  const title = `sparse ${work.indices.length} of ${showCount(work.rows)}x${work.width}`;
  const ours = await sparseKernelStepper(work);
  const contender = timed(ours.name, () => ours.step());
  // Recording the plan was our first step. Two more make three, as for the rivals.
  ours.step();
  ours.step();
  const wanted = ours.touched();

  const tfjs = tfjsSparseStepper(work);
  for (let i = 0; i < 3; i += 1) tfjs.step();
  checkEqual(`${title} against tfjs`, wanted, tfjs.touched(), 1e-5);
  const comparison = await compare(contender, timed(tfjs.name, () => tfjs.step()), context.compare);
  tfjs.dispose();
  yield ratioRow(title, tfjs.name, comparison, { goal: goals?.tfjs ?? null });

  if (goals !== null) {
    const torch = await startTorchSparse(work);
    if (torch === null) {
      yield skippedRow(title, "torch", PYTHON_MISSING, goals.torch);
    } else {
      await torch.cost(3);
      checkEqual(`${title} against torch`, wanted, await torch.touched(), 1e-5);
      const against = await compare(contender, torch, context.compare);
      await torch.stop();
      yield ratioRow(title, torch.name, against, { goal: goals.torch });
    }
  }
  await ours.dispose();
}
