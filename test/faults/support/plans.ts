/**
 * The runs that the tests of faults use: optimizers with different kinds of state (slots, scalars, sparse rows,
 * constraints, clips), and one run that is large enough for a torn record. Data, no behaviour.
 */
export interface PlannedVariable {
  readonly name: string;
  readonly shape: readonly number[];
  readonly initial?: unknown;
  readonly constraint?: unknown;
  readonly role?: "average";
}

export interface Plan {
  /** The definition of a custom optimizer, to register before the run is created. */
  readonly definition?: { readonly class_name: string; readonly [key: string]: unknown };
  readonly optimizer: { readonly class_name: string; readonly config: Readonly<Record<string, unknown>> };
  readonly variables: readonly PlannedVariable[];
  readonly gradient_transformers?: readonly unknown[];
  /** How several contributions make a step; absent in mode `immediate`. */
  readonly aggregation?: Readonly<Record<string, unknown>>;
  /** Whether every contribution must hold all variables, dense. */
  readonly holds?: true;
  readonly durability?: "journal" | "snapshot" | "none";
  /**
   * A loss that the run's only client minimizes, as the body of its requests. With others there would be steps between
   * the gradients and their step, which the twin cannot repeat.
   */
  readonly loss?: Readonly<Record<string, unknown>>;
  /** Configs with which the optimizer is patched now and then. */
  readonly patches: readonly Readonly<Record<string, unknown>>[];
}

const KERNEL = {
  name: "kernel",
  shape: [6, 5],
  initial: { class_name: "GlorotUniform", config: { seed: 7 } },
};
const BIAS = { name: "bias", shape: [5] };
const ROWS = { name: "emb", shape: [12, 4], initial: 0.5 };
const SCALE = { name: "scale", shape: [], initial: 1 };
const formula = (config: Record<string, unknown>) => ({ class_name: "Formula", config });
const RATES = [0.1, 0.05, 0.02].map((learning_rate) => ({ learning_rate }));

/** Long-lived runs, by id. */
export const PLANS: Readonly<Record<string, Plan>> = {
  adam: {
    optimizer: { class_name: "Adam", config: { learning_rate: 0.1 } },
    variables: [KERNEL, BIAS, ROWS, SCALE],
    patches: [...RATES, { beta_1: 0.8 }],
  },
  nadam: {
    optimizer: { class_name: "Nadam", config: { learning_rate: 0.01 } },
    variables: [{ ...KERNEL, constraint: "NonNeg" }, BIAS],
    patches: RATES,
  },
  ftrl: {
    optimizer: { class_name: "Ftrl", config: { learning_rate: 0.1, l1_regularization_strength: 0.01 } },
    variables: [ROWS, BIAS],
    patches: RATES,
  },
  rmsprop: {
    optimizer: {
      class_name: "RMSprop",
      config: { learning_rate: 0.01, centered: true, momentum: 0.5, global_clipnorm: 2 },
    },
    variables: [ROWS, SCALE, KERNEL],
    gradient_transformers: [{ class_name: "Scale", config: { scale: 0.5 } }],
    patches: RATES,
  },
  sgd: {
    optimizer: { class_name: "SGD", config: { learning_rate: 0.1, momentum: 0.9, nesterov: true } },
    variables: [{ name: "wide", shape: [40, 600] }, BIAS],
    patches: RATES,
  },
  custom: {
    definition: {
      class_name: "Stormy",
      hyperparameters: {
        learning_rate: { default: 0.1, schedule: true },
        beta: { default: 0.9, minimum: 0, maximum: 1, schedule: true },
      },
      slots: { velocity: { initial: 0.25 }, first: { initial: "w" } },
      state: { power: { initial: 1 } },
      scalars: ["power = power * beta", "eta = learning_rate * (1 + power)"],
      dense: [
        "velocity = beta * velocity + (1 - beta) * g",
        "w = w - eta * velocity / (1 + norm(velocity)) - 0.01 * (w - first)",
      ],
      sparse: {
        all: ["velocity = beta * velocity"],
        rows: ["velocity = velocity + (1 - beta) * g", "w = w - eta * sign(g)"],
        after: ["w = w - eta * velocity - 0.01 * (w - first)"],
        scatter: true,
      },
    },
    optimizer: {
      class_name: "Stormy",
      config: { learning_rate: formula({ expression: "0.1 / sqrt(T)" }), global_clipnorm: 3 },
    },
    variables: [KERNEL, ROWS, SCALE],
    gradient_transformers: [formula({ lines: ["g = clamp(g, -c, c)"], parameters: { c: 1.5 } })],
    patches: [
      ...RATES,
      { learning_rate: formula({ expression: "0.2 / T" }) },
      { beta: formula({ expression: "where(mod(T, 3) == 0, 0.5, 0.9)" }) },
    ],
  },
  minimized: {
    optimizer: { class_name: "Adam", config: { learning_rate: 0.05 } },
    variables: [KERNEL, ROWS],
    loss: { loss: "sum(square(kernel)) + sum(square(gather(emb, rows)))", inputs: { rows: [1, 3] } },
    patches: [],
  },
  fedavg: {
    optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
    variables: [KERNEL, ROWS, SCALE, { name: "statistics", shape: [4], role: "average" }],
    aggregation: { mode: "round", quorum: 4, aggregator: "WeightedMean", payload: "weights" },
    patches: RATES,
  },
  fedbuff: {
    optimizer: { class_name: "Adam", config: { learning_rate: 0.05 } },
    variables: [ROWS, BIAS],
    aggregation: {
      mode: "buffer",
      buffer_size: 3,
      aggregator: { class_name: "TrimmedMean", config: { trim_ratio: 0.34 } },
      payload: "delta",
      max_staleness: 3,
      staleness_weighting: "Polynomial",
    },
    holds: true,
    patches: RATES,
  },
};

/** The plan of runs that are created, forked and deleted again. */
export const PASSING: Plan = {
  optimizer: { class_name: "Adagrad", config: { learning_rate: 0.1 } },
  variables: [ROWS, BIAS],
  patches: [],
};

export function createBody(
  id: string,
  { patches: _, holds: __, definition: ___, loss: ____, ...spec }: Plan,
): unknown {
  return { id, ...spec };
}
