/** The bound on the norms of contributions after a step of some. */
import type { Aggregation } from "../spec/aggregation.ts";
import type { RunState } from "../tensors/state.ts";
import type { Contribution } from "./contribution.ts";

/** Called before the step. The contributions came under the present bound, because only a step moves it. */
export function nextClipNorm(
  { clipNorm, iterations }: Pick<RunState, "clipNorm" | "iterations">,
  { clientClipnorm }: Pick<Aggregation, "clientClipnorm">,
  contributions: readonly Pick<Contribution, "gradientNorm">[],
): number | null {
  if (clipNorm === null || clientClipnorm === null || typeof clientClipnorm === "number") return clipNorm;
  const { member, config } = clientClipnorm;
  return member.next(config, {
    norm: clipNorm,
    count: contributions.length,
    within: contributions.filter(({ gradientNorm }) => gradientNorm <= clipNorm).length,
    iteration: iterations,
  });
}
