/** Gaussian noise on the combined contributions. */
import { addGaussianNoise } from "../../../kernels/noise/noise.ts";
import type { Aggregation } from "../spec/aggregation.ts";
import type { RunState, VariableState } from "../tensors/state.ts";

/**
 * Stream of the noise on sums. It differs from those of transformers, which may have the same seed (fused_lines.ts).
 */
const NOISE_STREAM = 0;

/** Adds the noise of the present iteration to the sum at `offset`; null when there is none to add. */
export function noiseOn(
  { arena, iterations, clipNorm }: RunState,
  noise: Aggregation["noise"],
): ((variable: VariableState, offset: number) => void) | null {
  if (!noise) return null;
  return ({ index, count }, offset) =>
    addGaussianNoise(arena, { offset, count }, {
      seed: noise.seed,
      stddev: noise.stddev ?? Math.fround((noise.multiplier ?? 0) * (clipNorm ?? 0)),
      stream: NOISE_STREAM,
      iteration: iterations,
      variable: index,
    });
}
