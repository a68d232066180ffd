/** A contribution to a round: what it says of itself, and what the round remembers of it. */
import type { KeyUse, Loss, StepOptions } from "../api/steps.ts";

export interface Contribution {
  readonly clientId: string | null;
  readonly weight: number;
  readonly staleness: number;
  readonly gradientNorm: number;
  /** Milliseconds since 1970. */
  readonly acceptedAt: number;
  /** Of its journal record. */
  readonly sequence: number;
  /** Of the run when it was accepted. */
  readonly version: number;
  readonly key: KeyUse | undefined;
  readonly loss: Loss | undefined;
}

/** What a contribution says of itself. */
export type Claims =
  & Pick<StepOptions, "baseIteration" | "clientId" | "weight" | "hyperparameters" | "key" | "loss">
  & {
    /** Of a contribution that is read again: what it was when it was accepted. */
    readonly staleness?: number;
  };
