/** The runs of a simulation: every mode, every aggregator, every payload. Data, no behaviour. */
import type { RunSpec } from "../../../src/run/api/run_spec.ts";
import type { Aggregation, VariablePlan } from "./arithmetic.ts";

export interface RunPlan extends Aggregation {
  readonly id: string;
  readonly mode: "immediate" | "round" | "buffer";
  /** Count of contributions that makes a step: the quorum, the buffer's size, or 1. */
  readonly wanted: number;
  readonly minimum: number;
  readonly deadline_seconds: number | null;
  readonly max_staleness: number | null;
  readonly learning_rate: number;
  readonly momentum: number;
  readonly variables: readonly VariablePlan[];
}

const variable = (name: string, shape: number[], initial: number, isAverage = false): VariablePlan => ({
  name,
  shape,
  initial: Array<number>(shape.reduce((product, size) => product * size, 1)).fill(initial),
  isAverage,
});
const ROWS = variable("emb", [32, 4], 0.5), KERNEL = variable("kernel", [16, 8], -0.25);
const SCALE = variable("scale", [], 1), STATISTICS = variable("statistics", [4], 0, true);

const PLAIN: Omit<RunPlan, "id"> = {
  mode: "immediate",
  wanted: 1,
  minimum: 1,
  deadline_seconds: null,
  max_staleness: null,
  aggregator: { class_name: "Sum" },
  payload: "gradient",
  staleness_weighting: { class_name: "Constant" },
  client_clipnorm: null,
  learning_rate: 0.1,
  momentum: 0,
  variables: [ROWS, KERNEL, SCALE],
};
const ROUND = { ...PLAIN, mode: "round", max_staleness: 0 } as const;
const BUFFER = { ...PLAIN, mode: "buffer" } as const;
const POLYNOMIAL = { class_name: "Polynomial", config: { exponent: 1 } } as const;
const HINGE = { class_name: "Hinge", config: { a: 0.5, b: 1 } } as const;

export const PLANS: readonly RunPlan[] = [
  { ...PLAIN, id: "plain" },
  { ...PLAIN, id: "stale", max_staleness: 20, staleness_weighting: HINGE, momentum: 0.9 },
  {
    ...ROUND,
    id: "fedavg",
    wanted: 12,
    minimum: 4,
    deadline_seconds: 30,
    aggregator: { class_name: "WeightedMean" },
    payload: "weights",
    learning_rate: 1,
    variables: [ROWS, KERNEL, SCALE, STATISTICS],
  },
  {
    ...ROUND,
    id: "sums",
    wanted: 7,
    minimum: 7,
    deadline_seconds: 20,
    max_staleness: 1,
    learning_rate: 0.01,
  },
  {
    ...ROUND,
    id: "patient",
    wanted: 9,
    minimum: 9,
    aggregator: { class_name: "Mean" },
    payload: "delta",
    max_staleness: 3,
  },
  {
    ...ROUND,
    id: "bounded",
    wanted: 6,
    minimum: 2,
    deadline_seconds: 8,
    aggregator: { class_name: "NormBoundedMean", config: { norm_bound: 3 } },
    max_staleness: null,
    variables: [KERNEL, ROWS, STATISTICS],
  },
  {
    ...BUFFER,
    id: "fedbuff",
    wanted: 10,
    minimum: 10,
    aggregator: { class_name: "Mean" },
    payload: "delta",
    max_staleness: 8,
    staleness_weighting: POLYNOMIAL,
    client_clipnorm: 2.5,
    momentum: 0.9,
    learning_rate: 0.5,
  },
  {
    ...BUFFER,
    id: "weighted",
    wanted: 4,
    minimum: 4,
    aggregator: { class_name: "WeightedMean" },
    payload: "weights",
    staleness_weighting: HINGE,
  },
  {
    ...ROUND,
    id: "median",
    wanted: 8,
    minimum: 3,
    deadline_seconds: 15,
    aggregator: { class_name: "Median" },
    payload: "delta",
  },
  {
    ...BUFFER,
    id: "trimmed",
    wanted: 9,
    minimum: 9,
    aggregator: { class_name: "TrimmedMean", config: { trim_ratio: 0.25 } },
    max_staleness: 12,
    staleness_weighting: POLYNOMIAL,
    variables: [ROWS, SCALE, STATISTICS],
  },
  {
    ...ROUND,
    id: "krum",
    wanted: 9,
    minimum: 7,
    deadline_seconds: 25,
    aggregator: { class_name: "Krum", config: { byzantine: 2 } },
    payload: "weights",
    max_staleness: 2,
    learning_rate: 0.5,
  },
  {
    ...ROUND,
    id: "multikrum",
    wanted: 10,
    minimum: 10,
    deadline_seconds: 40,
    aggregator: { class_name: "MultiKrum", config: { byzantine: 2 } },
    client_clipnorm: 20,
    max_staleness: 5,
  },
];

export const isHolding = ({ aggregator: { class_name } }: RunPlan): boolean =>
  ["Median", "TrimmedMean", "Krum", "MultiKrum"].includes(class_name);

/** Whether each contribution becomes a step directly, without a round. */
export const isPlain = (plan: RunPlan): boolean => plan.id === "plain";

export function specOf(plan: RunPlan): RunSpec {
  const { mode, wanted, minimum, deadline_seconds, max_staleness, aggregator, payload } = plan;
  return {
    id: plan.id,
    optimizer: { class_name: "SGD", config: { learning_rate: plan.learning_rate, momentum: plan.momentum } },
    variables: plan.variables.map(({ name, shape, initial, isAverage }) => ({
      name,
      shape,
      initial: initial[0],
      role: isAverage ? "average" : "optimize",
    })),
    aggregation: {
      mode,
      ...mode === "round" && { quorum: wanted, minimum, deadline_seconds },
      ...mode === "buffer" && { buffer_size: wanted },
      max_staleness,
      aggregator,
      payload,
      staleness_weighting: plan.staleness_weighting,
      client_clipnorm: plan.client_clipnorm,
    },
  };
}
