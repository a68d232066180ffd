/**
 * Benchmark of aggregation: combining many clients' contributions into one gradient, against numpy and Flower's own
 * functions.
 *
 * We add up a mean as contributions arrive, in the memory of three models: the sum, a contribution that waits to be
 * added together with the next one, and that next one. The rivals' usual form keeps all contributions and adds them
 * up at the end; numpy is measured in our form too. Medians need all contributions on both sides.
 */
import {
  type AggregateWork,
  aggregateWork,
  type Aggregation,
  combineHeld,
  meanAsTheyArrive,
  WEIGHTED,
} from "./aggregate_work.ts";
import type { Benchmark, Context } from "./bench.ts";
import { checkEqual, compare, type CompareOptions } from "./harness.ts";
import { type RivalWork, startAggregateRival } from "./rivals/aggregate.ts";
import { countRow, type Goal, ratioRow, type Row, showCount, skippedRow } from "./row.ts";

const COUNT = 1_000_000;
const MISSING = "no Python with numpy and flwr (STEPWELL_BENCH_PYTHON, rivals/aggregate/requirements.txt)";
/** A rival that takes seconds is measured only a few times; its ratios are large enough to be beyond doubt. */
const SLOW: Partial<CompareOptions> = { rounds: 5, tries: 1 };

interface Rival {
  readonly work: RivalWork;
  readonly named: string;
  readonly goal?: Goal;
  readonly slow?: boolean;
}

interface Comparable {
  readonly what: string;
  readonly clients: number;
  ours(work: AggregateWork): Aggregation;
  readonly copiesGoal?: Goal;
  readonly rivals: readonly Rival[];
}

const held = (class_name: string, config: object = {}) => (work: AggregateWork) =>
  combineHeld(work, class_name, config);

const COMPARED: readonly Comparable[] = [
  {
    what: "mean",
    clients: 100,
    ours: (work) => meanAsTheyArrive(work, { class_name: "Mean", weightOf: () => 1 }),
    copiesGoal: { relation: "≤", value: 3 },
    rivals: [
      { work: "mean_as_they_arrive", named: "numpy as they arrive" },
      { work: "mean_in_place", named: "numpy in place, all held", goal: { relation: "≥", value: 2 } },
      { work: "flower_mean", named: "Flower aggregate" },
    ],
  },
  {
    what: "weighted mean",
    clients: 100,
    ours: (work) => meanAsTheyArrive(work, { class_name: "WeightedMean", weightOf: WEIGHTED }),
    rivals: [
      { work: "weighted_mean_in_place", named: "numpy in place, all held" },
      { work: "flower_weighted_mean", named: "Flower aggregate" },
    ],
  },
  {
    what: "median",
    clients: 10,
    ours: held("Median"),
    rivals: [{ work: "median", named: "numpy median", goal: { relation: "≥", value: 10 } }],
  },
  {
    what: "median",
    clients: 100,
    ours: held("Median"),
    rivals: [{ work: "median", named: "numpy median", goal: { relation: "≥", value: 5 }, slow: true }],
  },
  {
    what: "trimmed mean",
    clients: 10,
    ours: held("TrimmedMean", { trim_ratio: 0.2 }),
    rivals: [{ work: "flower_trimmed_mean", named: "Flower aggregate_trimmed_avg" }],
  },
  {
    what: "Krum",
    clients: 10,
    ours: held("Krum", { byzantine: 2 }),
    rivals: [{ work: "flower_krum", named: "Flower aggregate_krum" }],
  },
];

export const aggregateBenchmark: Benchmark = {
  name: "aggregate",
  async *rows(context) {
    for (const compared of COMPARED) yield* rowsOf(compared, context);
  },
};

async function* rowsOf(
  { what, clients, ours: make, copiesGoal, rivals }: Comparable,
  { compare: options, quick }: Context,
): AsyncGenerator<Row> {
  const count = quick ? COUNT / 10 : COUNT;
  const title = `${what} of ${clients} x ${showCount(count)}`;
  const work = aggregateWork(count, clients);
  const ours = make(work);
  await ours.cost(1);
  yield memoryRow(title, "stepwell", ours.copies, copiesGoal ?? null);
  for (const { work: name, named, goal = null, slow = false } of rivals) {
    const rival = await startAggregateRival(name, work);
    if (rival === null) {
      yield skippedRow(title, named, MISSING, goal);
      continue;
    }
    await rival.cost(1);
    // Sums in a different order, and means of float32 partial sums, differ in the last bits.
    checkEqual(`${title} against ${named}`, ours.result(), await rival.result(), 1e-6);
    yield memoryRow(title, named, (await rival.peakBytes()) / (4 * count), null);
    const comparison = await compare(ours, rival, slow ? { ...options, ...SLOW } : options);
    await rival.stop();
    yield ratioRow(title, named, comparison, { goal });
  }
}

function memoryRow(title: string, whose: string, copies: number, goal: Goal | null): Row {
  return countRow(`${title}, memory`, whose, { figure: copies, unit: "copies", goal });
}
