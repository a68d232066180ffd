/** The open round, and what became of the earlier ones. */
import type { StepAnswer } from "./steps.ts";

/** What became of a round. */
export type RoundOutcome =
  | { readonly kind: "applied"; readonly answer: StepAnswer }
  /** At its deadline it had too few contributions, or something else changed the run's iterations. */
  | { readonly kind: "dropped"; readonly reason: string };

/** The round that is open. */
export interface RoundDescription {
  readonly round: number;
  readonly mode: "immediate" | "round" | "buffer";
  readonly iterations: number;
  readonly version: number;
  readonly accepted: number;
  readonly missing: number;
  readonly deadline: string | null;
  /** In the order in which they were accepted. */
  readonly contributions: readonly {
    readonly client_id: string | null;
    readonly weight: number;
    readonly staleness: number;
    readonly gradient_norm: number;
    readonly accepted_at: string;
  }[];
}
