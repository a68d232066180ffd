/** Ids of runs that are being created or deleted, which count as runs. */
import { StepwellError } from "../../errors.ts";
import { type Releasable, releasable } from "../../releasable.ts";

export class ReservedIds {
  readonly #ids = new Set<string>();
  readonly #runsMax: number;

  constructor(runsMax: number) {
    this.#runsMax = runsMax;
  }

  /** Takes an id for a new run. `taken` counts the runs there are. Throws run_exists, too_many_runs. */
  take(id: string, { isTaken, taken }: { readonly isTaken: boolean; readonly taken: number }): Releasable {
    if (isTaken || this.#ids.has(id)) {
      throw new StepwellError("run_exists", `Cannot create the run "${id}": a run with this id exists`);
    }
    if (taken + this.#ids.size >= this.#runsMax) {
      throw new StepwellError(
        "too_many_runs",
        `Cannot create the run "${id}": ${this.#runsMax} runs are open, the most allowed`,
      );
    }
    return this.hold(id);
  }

  /** Keeps an id from being taken. */
  hold(id: string): Releasable {
    this.#ids.add(id);
    return releasable(() => void this.#ids.delete(id));
  }
}
