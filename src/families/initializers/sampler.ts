/**
 * Random numbers from tfjs. The first draw loads tfjs, which takes most of a second.
 *
 * Not a generator of its own and not a source of seeds. Invariant: every tensor is disposed of before a draw returns.
 */
import type { Values } from "./initializer.ts";

export interface Draw {
  readonly distribution: "uniform" | "normal" | "truncated_normal";
  /** The lower end of a uniform distribution, the mean of a normal one. */
  readonly from: number;
  /** The upper end of a uniform distribution, the standard deviation of a normal one. */
  readonly to: number;
  readonly count: number;
  readonly seed: number;
}

/** Draws `count` float32 numbers. A truncated normal distribution ends at two standard deviations. */
export async function draw({ distribution, from, to, count, seed }: Draw): Promise<Values> {
  if (count === 0) return new Float32Array(0);
  const tf = await load();
  const sample = { uniform: tf.randomUniform, normal: tf.randomNormal, truncated_normal: tf.truncatedNormal };
  // tfjs computes the numbers in plain JavaScript with any backend; they are copied out of its memory.
  return tf.tidy(() => new Float32Array(sample[distribution]([count], from, to, "float32", seed).dataSync()));
}

async function load(): Promise<typeof import("@tensorflow/tfjs")> {
  const tf = await import("@tensorflow/tfjs");
  // Otherwise tfjs writes a greeting to the console with its first tensor.
  tf.enableProdMode();
  if (!tf.getBackend()) await tf.setBackend("cpu");
  return tf;
}
