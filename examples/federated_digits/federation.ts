/**
 * The settings of a federation, from the command line, and the spec of the run that it trains. A round closes when
 * all clients have contributed, or at the deadline when at least `minimum` have.
 */
import type { ParseArgsOptionsConfig } from "node:util";
import { type Attack, ATTACKS, type Federation, hostileCount, stragglerCount } from "./behaviour.ts";
import { VARIABLES } from "./network.ts";

export interface Settings extends Federation {
  readonly rounds: number;
  readonly epochs: number;
  /** Clients send their new weights, or how much the weights have changed. */
  readonly payload: "weights" | "delta";
  readonly aggregator: string;
  readonly deadlineSeconds: number;
  /** The number of processes that the clients share. */
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

/** The least share of hostile clients that `Krum` and others are told to expect: the true share is unknown. */
const EXPECTED_HOSTILE = 0.2;

const byzantine = (settings: Settings) =>
  Math.max(hostileCount(settings), Math.floor(settings.clients * EXPECTED_HOSTILE));

/** The number of contributions that close a round at its deadline: enough for every aggregator below. */
const minimum = (settings: Settings) =>
  Math.max(Math.ceil(settings.clients / 2), 2 * byzantine(settings) + 3);

/** The config of each aggregator. */
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

/** Throws a RangeError for settings that no run can have. */
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
 * The body for `POST /v1/runs`. With a learning rate of 1, the mean of the clients' weights is FedAvg (McMahan et al.
 * 2017). The learning rate falls, so that the result depends less on the last rounds' contributions.
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
