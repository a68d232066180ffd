/**
 * The events of one run for all of its readers. Events are handed out in deliveries: the first event after a quiet
 * time at once, those that follow together, a tick later. Each batch is encoded once, and all readers that have seen
 * the same events share its bytes: what a delivery costs beyond that is the server's work for a part of an answer.
 *
 * A reader asks for its next part when it has taken the last one, so one that does not read costs nothing. Events
 * that are no longer kept when it asks are replaced by a `gap`.
 *
 * Invariants: no event is handed out before it is on disk. A delivery holds the event loop for one slice at a time.
 * When the last reader has left, nothing is left of the feed: no timer, no listener, no lease, no bytes.
 */
import type { Lease } from "../../src/run/api/run_registry.ts";
import type { RunSession } from "../../src/run/api/run_session.ts";
import { type Releasable, releasable } from "../../src/releasable.ts";
import { nextTurn, Slices } from "../../src/slices.ts";
import { encodeEvents, HEARTBEAT } from "./event_text.ts";
import { roundState } from "./round_state.ts";

/** So many new events end a tick early: a run keeps several times as many. */
const TICK_EVENTS_MAX = 250;
/** Events in a part. A reader that was away gets the rest when it asks again. */
const BATCH_EVENTS_MAX = 250;
/** Batches that are kept for readers that come later than others; they begin at different places. */
const BATCHES_MAX = 4;
/** One part for one reader, in units of `Slices`. */
const SEND_UNITS = 10_000;

export interface FeedReader {
  /** The id of the last event that it has; undefined: it begins with a `state`, from now on. */
  place: string | undefined;
  /** Gets what it asked for. The bytes are shared and must not change. */
  send(bytes: Uint8Array<ArrayBuffer>): void;
  /** There is nothing more. */
  end(): void;
}

interface FeedParts {
  readonly run: RunSession;
  readonly lease: Lease;
  readonly heartbeatMs: number;
  /** How long a tick is, in milliseconds. */
  readonly tickMs: () => number;
  /** Called when the last reader has left, or the feed cannot go on. */
  readonly onEnd: () => void;
}

interface Batch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The id of its last event. */
  readonly place: string;
}

export class EventFeed {
  readonly #parts: FeedParts;
  readonly #readers = new Set<FeedReader>();
  /** Those of them that wait for their next part. */
  #asking = new Set<FeedReader>();
  /** The id of the newest event that is on disk and was handed out; undefined: none is known to be. */
  #told: string | undefined;
  /** Count of the run's events at the last delivery. */
  #toldCount = 0;
  /** By the id of the event before the first one. */
  readonly #batches = new Map<string, Batch>();
  /** What ends with the last reader. */
  readonly #owned = new DisposableStack();
  #isDelivering = false;
  #isOver = false;
  #endTick = () => {};
  #heartbeat: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: FeedParts) {
    this.#parts = parts;
    this.#owned.defer(parts.onEnd);
    this.#owned.use(parts.lease);
    this.#owned.use(parts.run.events.watch(() => this.#wake()));
    this.#owned.defer(() => clearTimeout(this.#heartbeat));
    this.#owned.defer(() => this.#endTick());
  }

  /** The reader leaves when the result is released. */
  join(reader: FeedReader): Releasable {
    this.#readers.add(reader);
    return releasable(() => {
      this.#readers.delete(reader);
      this.#asking.delete(reader);
      if (this.#readers.size === 0) this.#owned.dispose();
    });
  }

  /** The reader asks for its next part: it gets it now, or as soon as there is something. */
  ask(reader: FeedReader): void {
    if (reader.place === undefined) return void this.#sendState(reader, "state");
    const batch = this.#after(reader.place);
    if (batch === "missed") return void this.#sendState(reader, "gap");
    if (batch) {
      reader.place = batch.place;
      reader.send(batch.bytes);
    } else if (this.#isOver) {
      reader.end();
    } else {
      this.#asking.add(reader);
      if (this.#told === undefined) this.#wake();
      if (this.#heartbeat === undefined) this.#armHeartbeat();
    }
  }

  /** The events after `place` that may be handed out; undefined: none; "missed": some of them are no longer kept. */
  #after(place: string): Batch | "missed" | undefined {
    if (this.#told === undefined || place === this.#told) return undefined;
    const found = this.#batches.get(place);
    if (found) return found;
    const { events, missed } = this.#parts.run.events.since(place);
    if (missed) return "missed";
    // A reader whose state was newer than the last delivery is ahead of it: then `told` is not among them.
    const count = Math.min(events.findLastIndex(({ id }) => id === this.#told) + 1, BATCH_EVENTS_MAX);
    const last = events[count - 1];
    if (!last) return undefined;
    const batch = { bytes: encodeEvents(events.slice(0, count)), place: last.id };
    for (const oldest of this.#batches.keys()) {
      if (this.#batches.size < BATCHES_MAX) break;
      this.#batches.delete(oldest);
    }
    this.#batches.set(place, batch);
    return batch;
  }

  /** Sends the present state of the run, in place of the events before it. */
  async #sendState(reader: FeedReader, type: "state" | "gap"): Promise<void> {
    const { run, lease } = this.#parts;
    try {
      const id = run.events.last;
      const bytes = encodeEvents([{ id, type, data: roundState(run).state }]);
      await lease.durable();
      if (!this.#readers.has(reader)) return;
      reader.place = id;
      reader.send(bytes);
    } catch {
      // The run has ended, or could not be written. The reader reconnects and gets the state of then.
      reader.end();
    }
  }

  /** Called after each event, and when the run has ended. */
  #wake(): void {
    const { events } = this.#parts.run;
    if (this.#isOver) return;
    if (!this.#isDelivering) void this.#deliverAll();
    else if (events.closed || events.count - this.#toldCount >= TICK_EVENTS_MAX) this.#endTick();
  }

  /** Hands out events, a tick apart, until there are no more. */
  async #deliverAll(): Promise<void> {
    const { run: { events }, tickMs } = this.#parts;
    this.#isDelivering = true;
    do {
      // At first it only makes sure of what is there already: the next event is the first after a quiet time.
      const isFirst = this.#told === undefined;
      await this.#deliver();
      if (!this.#isOver && !isFirst) await this.#tick(tickMs());
    } while (!this.#isOver && this.#readers.size > 0 && (events.closed || this.#told !== events.last));
    this.#isDelivering = false;
  }

  async #deliver(): Promise<void> {
    const { run: { events }, lease } = this.#parts;
    const { last, closed } = events;
    this.#toldCount = events.count;
    try {
      await lease.durable();
      this.#told = last;
    } catch {
      // An event that could not be written is not handed out. Readers reconnect, to another feed.
      this.#isOver = true;
      this.#parts.onEnd();
    }
    if (closed) this.#isOver = true;
    this.#batches.clear();
    this.#armHeartbeat();
    await this.#serve((reader) => this.ask(reader));
  }

  #tick(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#endTick(), ms);
      this.#endTick = () => {
        clearTimeout(timer);
        this.#endTick = () => {};
        resolve();
      };
      if (this.#owned.disposed) this.#endTick();
    });
  }

  #armHeartbeat(): void {
    if (this.#owned.disposed) return;
    clearTimeout(this.#heartbeat);
    this.#heartbeat = setTimeout(() => {
      this.#armHeartbeat();
      void this.#serve((reader) => reader.send(HEARTBEAT));
    }, this.#parts.heartbeatMs);
  }

  /** Serves everybody who asks now, in slices. */
  async #serve(give: (reader: FeedReader) => void): Promise<void> {
    const asking = this.#asking;
    this.#asking = new Set();
    const slices = new Slices();
    for (const reader of asking) {
      // It may have left since.
      if (!this.#readers.has(reader)) continue;
      give(reader);
      if (slices.isOver(SEND_UNITS)) await nextTurn();
    }
  }
}
