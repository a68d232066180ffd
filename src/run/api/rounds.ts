/** The open round, and the outcomes of earlier rounds. */
import type { StepAnswer } from "./steps.ts";

/** The outcome of a round that has ended. */
export type RoundOutcome =
  | { readonly kind: "applied"; readonly answer: StepAnswer }
  /** The round had too few contributions at its deadline. */
  | { readonly kind: "dropped"; readonly reason: string };

/** The open round. */
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
