/** Takes all tensors of a run as they lie in its own file, one behind the other. */
import type { ByteSink } from "../../tensor.ts";
import type { RunState, VariableState } from "../tensors/state.ts";
import { copyWords, wordsOf } from "../tensors/words.ts";
import { offsetOf, type RunLayout } from "./run_layout.ts";

export class LayoutSink implements ByteSink {
  readonly #state: RunState;
  readonly #places: Iterator<{ readonly variable: VariableState; readonly slot: string | undefined }>;
  /** Byte offset of the next byte, and how many go there. */
  #to = 0;
  #left = 0;

  constructor(state: RunState, layout: RunLayout) {
    this.#state = state;
    this.#places = placesOf(layout);
  }

  write(bytes: Uint8Array): void {
    const { arena } = this.#state;
    const isAligned = bytes.byteOffset % 4 === 0;
    const words = isAligned
      ? new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
      : new Int32Array(bytes.slice(0, bytes.length & ~3).buffer);
    const target = wordsOf(arena), all = arena.u8(0, arena.bytesReserved);
    for (let at = 0; at < bytes.length;) {
      if (this.#left === 0) this.#next();
      const count = Math.min(this.#left, bytes.length - at), to = this.#to;
      if ((at | to | count) % 4 === 0) copyWords(words, at / 4, { target, to: to / 4, count: count / 4 });
      else all.set(bytes.subarray(at, at + count), to);
      at += count;
      this.#to += count;
      this.#left -= count;
    }
  }

  /** Goes on to the next tensor that has bytes. */
  #next(): void {
    while (this.#left === 0) {
      const { value, done } = this.#places.next();
      if (done) throw new Error("Bytes follow the last tensor");
      const { variable, slot } = value;
      this.#to = offsetOf(variable, slot);
      this.#left = 4 * variable.count;
    }
  }

  close(): void {}
}

function* placesOf({ groups }: RunLayout) {
  for (const { slot, variables } of groups) for (const variable of variables) yield { variable, slot };
}
