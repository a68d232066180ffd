/**
 * The behaviour of a federation's clients: prompt ones, stragglers that miss a round, and hostile ones that attack
 * it. The seed alone decides how each client behaves.
 */
import type { Tensor } from "../safetensors.ts";
import type { Weights } from "./local_training.ts";
import { normal, randomStream, shuffled } from "./random.ts";

/**
 * `late` trains, and sends when the round is over; `stale` sends what it computed for an earlier round; `gone` sends
 * nothing.
 */
export type Behaviour = "prompt" | "hostile" | (typeof STRAGGLERS)[number];
const STRAGGLERS = ["late", "stale", "gone"] as const;

/** How hostile clients alter an honest change of a weight; `random` returns numbers in [0, 1). */
export const ATTACKS = {
  /** Ten times the honest change, in the opposite direction. */
  sign_flip: (change: number) => -10 * change,
  noise: (change: number, random: () => number) => change + 1000 * normal(random),
  constant: () => 100,
} as const;
export type Attack = keyof typeof ATTACKS;

export interface Federation {
  readonly clients: number;
  /** The share of clients that are stragglers: different ones in each round, never hostile ones. */
  readonly stragglers: number;
  /** The share of clients that attack: the same ones in every round, always in time. */
  readonly hostile: number;
  readonly attack: Attack;
  readonly seed: number;
}

export const hostileCount = ({ clients, hostile }: Federation): number => Math.floor(clients * hostile);
export const stragglerCount = ({ clients, stragglers }: Federation): number =>
  Math.floor(clients * stragglers);

/** The behaviour of each client in the round of this iteration. */
export function behaviours(federation: Federation, iteration: number): Behaviour[] {
  const { clients, seed } = federation;
  const hostile = new Set(shuffled(clients, randomStream(seed)).slice(0, hostileCount(federation)));
  const found = Array.from(
    { length: clients },
    (_, client): Behaviour => hostile.has(client) ? "hostile" : "prompt",
  );
  const order = shuffled(clients, randomStream(seed, iteration)).filter((client) => !hostile.has(client));
  order.slice(0, stragglerCount(federation)).forEach((client, place) => {
    found[client] = STRAGGLERS[place % STRAGGLERS.length] as Behaviour;
  });
  return found;
}

/** The weights that a hostile client sends instead of `after`, when it started from `before`. */
export function attacked(before: Weights, after: Weights, attack: Attack, random: () => number): Weights {
  return combined(before, after, (old, own) => old + ATTACKS[attack](own - old, random));
}

/** The payload `delta`: the new weights minus the old ones. */
export function changeOf(before: Weights, after: Weights): Weights {
  return combined(before, after, (old, own) => own - old);
}

function combined(before: Weights, after: Weights, rule: (before: number, after: number) => number): Weights {
  return new Map([...after].map(([name, { shape, values }]): [string, Tensor] => {
    const old = before.get(name)?.values ?? [];
    return [name, { shape, values: Float32Array.from(values, (value, i) => rule(old[i] ?? 0, value)) }];
  }));
}
