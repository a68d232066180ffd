/** The data of a contribution that the client sends, and the data that a round keeps. */
import type { KeyUse, Loss, StepOptions } from "../api/steps.ts";

export interface Contribution {
  readonly clientId: string | null;
  readonly weight: number;
  readonly staleness: number;
  readonly gradientNorm: number;
  /** Milliseconds since 1970. */
  readonly acceptedAt: number;
  /** Sequence number of its journal record. */
  readonly sequence: number;
  /** The run's version when it was accepted. */
  readonly version: number;
  readonly key: KeyUse | undefined;
  readonly loss: Loss | undefined;
}

/** The data that the client sends with a contribution. */
export type Claims =
  & Pick<
    StepOptions,
    "baseIteration" | "clientId" | "weight" | "hyperparameters" | "key" | "loss" | "isRecorded"
  >
  & {
    /** The staleness at acceptance, for a contribution that is read from the journal again. */
    readonly staleness?: number;
  };
