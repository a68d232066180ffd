/**
 * The bodies that are being received for one run, each with a staging of its own.
 *
 * Invariant: the run's memory lives until the session has ended and the last of its stagings is released.
 */
import type { Staging } from "../api/run_session.ts";
import type { Recorder } from "../journal/recorder.ts";
import { Bodies } from "../staging/bodies.ts";
import { ArenaStaging } from "../staging/staging.ts";
import type { Memory } from "../tensors/memory.ts";
import type { RunState } from "../tensors/state.ts";

interface StagingsParts {
  readonly id: string;
  readonly memory: Memory;
  readonly state: RunState;
  readonly recorder: Recorder;
  /** Whether contributions' regions are taken over by rounds. */
  readonly takesRegions: boolean;
}

/** With fewer variables, regions of their own cost less. */
const SHARING_COUNT_MIN = 16;

export class Stagings {
  readonly #parts: StagingsParts;
  readonly #open = new Set<ArenaStaging>();
  readonly #bodies: Bodies;
  #isOver = false;

  constructor(parts: StagingsParts) {
    this.#parts = parts;
    this.#bodies = new Bodies(parts.state);
  }

  /** Forgets what only makes later bodies faster. */
  shrink(): void {
    this.#bodies.clear();
  }

  get isReceiving(): boolean {
    return this.#open.size > 0;
  }

  /** Bytes of all stagings in the arena. */
  get bytes(): number {
    return this.#open.values().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  stage(kind: "gradients" | "values"): ArenaStaging {
    const { memory, state, recorder, takesRegions } = this.#parts;
    const sharesRegions = state.variables.size >= SHARING_COUNT_MIN && (kind === "values" || !takesRegions);
    const staging = new ArenaStaging({
      kind,
      memory,
      state,
      keepsBytes: recorder.keepsChanges,
      bodies: this.#bodies,
      sharesRegions,
      released: () => {
        this.#open.delete(staging);
        memory.stagings.delete(staging);
        this.#releaseIfOver();
      },
    });
    this.#open.add(staging);
    memory.stagings.add(staging);
    return staging;
  }

  /** Returns a staging of this run. Throws if it belongs to another run, has another kind, or is not complete. */
  received(staging: Staging, kind: "gradients" | "values"): ArenaStaging {
    if (!(staging instanceof ArenaStaging) || !this.#open.has(staging) || staging.kind !== kind) {
      throw new Error(`The run ${this.#parts.id} has no such staging for ${kind}`);
    }
    if (!staging.complete) throw new Error("The staging has tensors that were not received completely");
    return staging;
  }

  /** Called when the session has ended: releases the run's memory, now or after the last body. */
  end(): void {
    this.#isOver = true;
    // What is still on its way to a run that has ended is no longer counted.
    for (const staging of this.#open) this.#parts.memory.stagings.delete(staging);
    this.#releaseIfOver();
  }

  #releaseIfOver(): void {
    if (this.#isOver && !this.isReceiving) this.#parts.state.release();
  }
}
