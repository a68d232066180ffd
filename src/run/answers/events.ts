/**
 * What has happened to one run of late, for those who watch it: the newest events, with ids from which a reader can go
 * on after its connection, or this process, has ended.
 *
 * An id is `SEQUENCE.INDEX`: the change of the run that it tells of, and its place among the events of that change.
 * A replay of the journal makes the same events with the same ids. Invariant: `since` gives events in order, each once,
 * or says that some are missing.
 */
import type { RunEvent, RunEvents } from "../api/run_events.ts";

/** Events that are kept: enough for a reader that was away for a few hundred steps. */
const KEPT = 1000;

interface Place {
  readonly sequence: number;
  readonly index: number;
}

/** A run that nothing has happened to yet is at -1.0. */
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
  /** The newest event that is not kept, or where this log begins. */
  #floor: Place;
  #last: Place;
  #waiting = Promise.withResolvers<void>();
  #closed = false;

  /**
   * `sequence` is that of the first change that this log will tell of, `last` what the log before this one ended with:
   * who has seen that has missed nothing.
   */
  constructor(sequence: number, last = "") {
    this.#floor = this.#last = placeOf(last) ?? { sequence, index: 0 };
  }

  get closed(): boolean {
    return this.#closed;
  }

  get last(): string {
    return `${this.#last.sequence}.${this.#last.index}`;
  }

  add(sequence: number, type: RunEvent["type"], data: RunEvent["data"]): void {
    const index = this.#last.sequence === sequence ? this.#last.index + 1 : 1;
    this.#last = { sequence, index };
    this.#kept.push({ sequence, index, event: { id: this.last, type, data } });
    // Not one by one: taking the first of a long list away moves all others.
    if (this.#kept.length >= 2 * KEPT) {
      const dropped = this.#kept.length - KEPT;
      this.#floor = this.#kept[dropped - 1] as Kept;
      this.#kept = this.#kept.slice(dropped);
    }
    this.#wake();
  }

  since(id: string): { readonly events: readonly RunEvent[]; readonly missed: boolean } {
    // An id of another run, or of a future that a crash took back, is no place to go on from.
    const place = placeOf(id);
    const isKnown = place !== undefined && !isAfter(this.#floor, place) && !isAfter(place, this.#last);
    const from = isKnown ? place : this.#floor;
    // From the end: many readers ask after each event, and have all but the last.
    const seen = this.#kept.findLastIndex((each) => !isAfter(each, from));
    return { events: this.#kept.slice(seen + 1).map(({ event }) => event), missed: !isKnown };
  }

  changed(): Promise<void> {
    return this.#closed ? Promise.resolve() : this.#waiting.promise;
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  #wake(): void {
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers<void>();
  }
}
