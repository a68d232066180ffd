/**
 * A federation as the command line describes it, and the spec of the run that it trains: rounds that close when all clients
 * have contributed, or at the deadline with half of them.
 */
import type { ParseArgsOptionsConfig } from "node:util";
import { type Attack, ATTACKS, type Federation, hostileCount, stragglerCount } from "./behaviour.ts";
import { VARIABLES } from "./network.ts";

export interface Settings extends Federation {
  readonly rounds: number;
  readonly epochs: number;
  /** Sent is what the weights have become, or by how much they have changed. */
  readonly payload: "weights" | "delta";
  readonly aggregator: string;
  readonly deadlineSeconds: number;
  /** In how many processes the clients live. */
  readonly processes: number;
}

export const OPTIONS = {
  clients: { type: "string", default: "10" },
  rounds: { type: "string", default: "50" },
  epochs: { type: "string", default: "2" },
  payload: { type: "string", default: "weights" },
  aggregator: { type: "string", default: "MultiKrum" },
  stragglers: { type: "string", default: "0.3" },
  hostile: { type: "string", default: "0.2" },
  attack: { type: "string", default: "sign_flip" },
  deadline: { type: "string", default: "0.5" },
  seed: { type: "string", default: "1" },
  processes: { type: "string", default: "2" },
} as const satisfies ParseArgsOptionsConfig;

/** What `Krum` and its like are told to expect at least: nobody knows how many clients are hostile. */
const EXPECTED_HOSTILE = 0.2;

const byzantine = (settings: Settings) =>
  Math.max(hostileCount(settings), Math.floor(settings.clients * EXPECTED_HOSTILE));

/** With how many contributions a round closes at its deadline: enough for every aggregator below. */
const minimum = (settings: Settings) =>
  Math.max(Math.ceil(settings.clients / 2), 2 * byzantine(settings) + 3);

/** What the run's spec says of each aggregator. */
export const AGGREGATORS: Readonly<Record<string, (settings: Settings) => Record<string, unknown>>> = {
  Mean: () => ({}),
  WeightedMean: () => ({}),
  Median: () => ({}),
  TrimmedMean: (settings) => ({ trim_ratio: (byzantine(settings) + 0.5) / minimum(settings) }),
  Krum: (settings) => ({ byzantine: byzantine(settings) }),
  MultiKrum: (settings) => ({ byzantine: byzantine(settings) }),
  GeometricMedian: () => ({}),
  // About the norm of an honest client's change in the first rounds.
  NormBoundedMean: () => ({ norm_bound: 2 }),
};

/** Throws a RangeError for what no run could be made of. */
export function readSettings(values: Readonly<Record<keyof typeof OPTIONS, string>>): Settings {
  const whole = (name: keyof typeof OPTIONS) => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= 1) return value;
    throw new RangeError(`Cannot start: --${name} is ${values[name]}, must be a whole number from 1`);
  };
  const oneOf = <T extends string>(name: keyof typeof OPTIONS, choices: readonly T[]): T => {
    const choice = choices.find((each) => each === values[name]);
    if (choice !== undefined) return choice;
    throw new RangeError(`Cannot start: --${name} is ${values[name]}, must be one of ${choices.join(", ")}`);
  };
  const between = (name: keyof typeof OPTIONS, [least, most]: readonly [number, number]) => {
    const value = Number(values[name]);
    if (value >= least && value <= most) return value;
    throw new RangeError(`Cannot start: --${name} is ${values[name]}, must be from ${least} to ${most}`);
  };
  const settings: Settings = {
    clients: whole("clients"),
    rounds: whole("rounds"),
    epochs: whole("epochs"),
    payload: oneOf("payload", ["weights", "delta"]),
    aggregator: oneOf("aggregator", Object.keys(AGGREGATORS)),
    stragglers: between("stragglers", [0, 1]),
    hostile: between("hostile", [0, 1]),
    attack: oneOf("attack", Object.keys(ATTACKS) as Attack[]),
    deadlineSeconds: between("deadline", [0.01, 3600]),
    seed: whole("seed"),
    processes: whole("processes"),
  };
  const prompt = settings.clients - stragglerCount(settings);
  if (prompt < minimum(settings)) {
    const wanted = minimum(settings);
    throw new RangeError(
      `Cannot start: ${prompt} clients contribute in time, must be ${wanted} or more to close a round`,
    );
  }
  return settings;
}

/**
 * For `POST /v1/runs`: with a learning rate of 1 the mean of the clients' weights is FedAvg (McMahan et al. 2017). Towards
 * the end it falls, so that less is left of what is peculiar to the last rounds' contributions.
 */
export function specOf(settings: Settings) {
  const { clients, rounds, payload, aggregator, deadlineSeconds } = settings;
  const decay = { initial_learning_rate: 1, decay_steps: rounds, alpha: 0.1 };
  return {
    optimizer: { class_name: "SGD", config: { learning_rate: { class_name: "CosineDecay", config: decay } } },
    variables: VARIABLES,
    aggregation: {
      mode: "round",
      quorum: clients,
      minimum: minimum(settings),
      deadline_seconds: deadlineSeconds,
      payload,
      aggregator: { class_name: aggregator, config: AGGREGATORS[aggregator]?.(settings) },
    },
  };
}
