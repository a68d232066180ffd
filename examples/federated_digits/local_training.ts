/**
 * Local training, an honest client's work in a round: some epochs of plain SGD over its own images, starting from
 * the run's variables. Only the resulting weights leave the client.
 */
import type { Tensor } from "../safetensors.ts";
import { batches, type Digits } from "./digits.ts";
import { gradients } from "./network.ts";

const BATCH = 36;
const LEARNING_RATE = 1;
/** Gradients are clipped to this norm, so that variables ruined by hostile clients cause no overflow. */
const NORM_MAX = 5;

export type Weights = ReadonlyMap<string, Tensor>;

/** The client's weights after `epochs` over `own`. Yields to other clients of the process after each epoch. */
export async function trainLocally(
  start: Weights,
  own: Digits,
  { epochs, random }: { epochs: number; random: () => number },
): Promise<Weights> {
  const weights = new Map(
    [...start].map(([name, { shape, values }]) => [name, { shape, values: values.slice() }]),
  );
  for (let epoch = 0; epoch < epochs; epoch += 1) {
    for (const batch of batches(own, BATCH, random)) descend(weights, gradients(weights, batch).gradients);
    await new Promise((resolve) => setTimeout(resolve));
  }
  return weights;
}

function descend(weights: Weights, found: Readonly<Record<string, Tensor>>): void {
  let squares = 0;
  for (const { values } of Object.values(found)) {
    for (const value of values) squares += value * value;
  }
  const rate = LEARNING_RATE * Math.min(1, NORM_MAX / Math.sqrt(squares));
  for (const [name, { values }] of weights) {
    const gradient = found[name]?.values ?? [];
    for (let i = 0; i < values.length; i += 1) values[i] = (values[i] ?? 0) - rate * (gradient[i] ?? 0);
  }
}
