/** A list of weights that has been checked for a run, on its way to `setWeights`. */
import type { CheckedWeights } from "../api/run_session.ts";
import type { PreparedWeights } from "../tensors/weights.ts";

export class CheckedList implements CheckedWeights {
  readonly list: readonly unknown[];
  /** Undefined: the list changes nothing. */
  readonly prepared: PreparedWeights | undefined;
  /** The tensors in the head of the record; empty if changes are not recorded. */
  readonly entries: string;

  constructor(list: readonly unknown[], prepared: PreparedWeights | undefined, entries: string) {
    this.list = list;
    this.prepared = prepared;
    this.entries = entries;
  }
}
