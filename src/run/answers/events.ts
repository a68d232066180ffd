/**
 * The newest events of one run. Their ids let a reader resume after its connection or this process has ended.
 *
 * An id is `SEQUENCE.INDEX`: the change that caused the event, and the event's index among those of the same change.
 * A replay of the journal makes the same events with the same ids. Invariant: `since` returns events in order and
 * each one once, or reports that some are missing.
 */
import { type Releasable, releasable } from "../../releasable.ts";
import type { RunEvent, RunEvents } from "../api/run_events.ts";

/** Count of events that are kept: enough for a reader that was away for a few hundred steps. */
const KEPT = 1000;

interface Place {
  readonly sequence: number;
  readonly index: number;
}

/** A run without any event is at -1.0. */
const placeOf = (id: string): Place | undefined => {
  const [, sequence, index] = /^(-1|\d{1,15})\.(\d{1,6})$/.exec(id) ?? [];
  return sequence === undefined ? undefined : { sequence: Number(sequence), index: Number(index) };
};

const isAfter = (a: Place, b: Place) =>
  a.sequence > b.sequence || (a.sequence === b.sequence && a.index > b.index);

interface Kept extends Place {
  readonly event: RunEvent;
}

export class EventLog implements RunEvents {
  #kept: Kept[] = [];
  /** The newest event that is not kept, or the place where this log begins. */
  #floor: Place;
  #last: Place;
  #count = 0;
  readonly #listeners = new Set<() => void>();
  #isWaking = false;
  #closed = false;

  /**
   * `sequence` is that of the first change in this log. `last` is the last id of the log before this one: a reader
   * that has seen it has missed nothing.
   */
  constructor(sequence: number, last = "") {
    this.#floor = this.#last = placeOf(last) ?? { sequence, index: 0 };
  }

  get closed(): boolean {
    return this.#closed;
  }

  get count(): number {
    return this.#count;
  }

  get last(): string {
    return `${this.#last.sequence}.${this.#last.index}`;
  }

  add(sequence: number, type: RunEvent["type"], data: RunEvent["data"]): void {
    const index = this.#last.sequence === sequence ? this.#last.index + 1 : 1;
    this.#last = { sequence, index };
    this.#count += 1;
    this.#kept.push({ sequence, index, event: { id: this.last, type, data } });
    // Events are dropped in bulk, because removing the first item of a long list moves all others.
    if (this.#kept.length >= 2 * KEPT) {
      const dropped = this.#kept.length - KEPT;
      this.#floor = this.#kept[dropped - 1] as Kept;
      this.#kept = this.#kept.slice(dropped);
    }
    this.#wake();
  }

  since(id: string): { readonly events: readonly RunEvent[]; readonly missed: boolean } {
    // The id may come from another run, or from changes that a crash has undone. A reader cannot resume there.
    const place = placeOf(id);
    const isKnown = place !== undefined && !isAfter(this.#floor, place) && !isAfter(place, this.#last);
    const from = isKnown ? place : this.#floor;
    // Search from the end: most readers ask after each event and lack only the last one.
    const seen = this.#kept.findLastIndex((each) => !isAfter(each, from));
    return { events: this.#kept.slice(seen + 1).map(({ event }) => event), missed: !isKnown };
  }

  watch(listener: () => void): Releasable {
    this.#listeners.add(listener);
    return releasable(() => void this.#listeners.delete(listener));
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** Calls the listeners after the turn, because in the middle of it the run is not yet what it will be. */
  #wake(): void {
    if (this.#isWaking || this.#listeners.size === 0) return;
    this.#isWaking = true;
    queueMicrotask(() => {
      this.#isWaking = false;
      for (const listener of this.#listeners) listener();
    });
  }
}
