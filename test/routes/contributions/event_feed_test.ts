/** The feed of a run's events: what it hands to whom and when, and that it leaves nothing behind. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { EventFeed, type FeedReader } from "../../../routes/contributions/event_feed.ts";
import { EventLog } from "../../../src/run/answers/events.ts";
import type { RunSession } from "../../../src/run/api/run_session.ts";
import { type Releasable, releasable } from "../../../src/releasable.ts";

/** A time that no test waits for. */
const NEVER_MS = 2 ** 31 - 1;
const ROUND = { mode: "immediate", round: 0, iterations: 0, version: 0, accepted: 0, missing: 1 };

/** Lets everything happen that needs no timer. */
const settle = () => new Promise((resolve) => setTimeout(resolve));

interface Told {
  readonly type: string;
  readonly id: string;
}

/** A reader that keeps what it gets, and asks only when the test says so. */
class Reader implements FeedReader {
  readonly parts: Uint8Array[] = [];
  isOver = false;
  isWaiting = false;
  place: string | undefined;
  readonly #left: Releasable;

  constructor(readonly feed: EventFeed, place?: string) {
    this.place = place;
    this.#left = feed.join(this);
  }

  send(bytes: Uint8Array): void {
    assert.ok(this.isWaiting && !this.isOver, "a reader got a part that it had not asked for");
    this.isWaiting = false;
    this.parts.push(bytes);
  }

  end(): void {
    assert.ok(this.isWaiting);
    this.isOver = true;
    this.leave();
  }

  ask(): void {
    if (this.isWaiting || this.isOver) return;
    this.isWaiting = true;
    this.feed.ask(this);
  }

  leave(): void {
    this.#left.release();
  }

  get text(): string {
    return this.parts.map((part) => new TextDecoder().decode(part)).join("");
  }

  get told(): Told[] {
    return [...this.text.matchAll(/^id: (\S+)\nevent: (\w+)$/gm)].map(([, id = "", type = ""]) => ({
      id,
      type,
    }));
  }
}

interface Options {
  readonly tickMs?: number;
  readonly heartbeatMs?: number;
}

/** A run of which the feed sees only events, and whose disk the test holds. */
function world({ tickMs = NEVER_MS, heartbeatMs = NEVER_MS }: Options = {}) {
  const events = new EventLog(0);
  const counts = { leases: 1, watching: 0, ended: 0 };
  const watch = events.watch.bind(events);
  events.watch = (listener) => {
    const watching = watch(listener);
    counts.watching += 1;
    return releasable(() => {
      counts.watching -= 1;
      watching.release();
    });
  };
  let disk = Promise.resolve();
  const run = {
    events,
    round() {
      if (events.closed) throw new Error("The run has ended");
      return { ...ROUND, contributions: [], deadline: null };
    },
  } as unknown as RunSession;
  const feed = new EventFeed({
    run,
    lease: { durable: () => disk, ...releasable(() => void (counts.leases -= 1)) },
    heartbeatMs,
    tickMs: () => tickMs,
    onEnd: () => void (counts.ended += 1),
  });
  let sequence = 0;
  return {
    feed,
    events,
    counts,
    add(count = 1) {
      for (let made = 0; made < count; made++) events.add(++sequence, "run_changed", { sequence });
    },
    /** The disk takes nothing until the result is called, with an error if it fails. */
    holdDisk(): (error?: Error) => void {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      promise.catch(() => {});
      disk = promise;
      return (error) => {
        disk = Promise.resolve();
        if (error) reject(error);
        else resolve();
      };
    },
  };
}

const ids = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => `${from + index}.1`);

Deno.test("an event of a quiet run is handed out at once, those of a tick together, each batch as the same bytes", async () => {
  const { feed, add } = world();
  const readers = Array.from({ length: 3 }, () => new Reader(feed, "0.0"));
  for (const reader of readers) reader.ask();
  await settle();
  add();
  await settle();
  for (const reader of readers) {
    assert.deepEqual(reader.told.map(({ id }) => id), ids(1, 1));
    reader.ask();
  }
  // The tick has begun, and never ends by itself.
  add(249);
  await settle();
  for (const { told } of readers) assert.equal(told.length, 1);
  add();
  await settle();
  for (const { told, parts } of readers) {
    assert.deepEqual(told.map(({ id }) => id), ids(1, 251));
    assert.equal(parts.length, 2);
    for (const [index, part] of parts.entries()) assert.equal(part, readers[0]?.parts[index]);
  }
  for (const reader of readers) reader.leave();
});

Deno.test("a run with an event now and then hands each out at once", async () => {
  const { feed, add } = world({ tickMs: 0 });
  const reader = new Reader(feed, "0.0");
  for (let count = 1; count <= 3; count++) {
    reader.ask();
    // The tick of the delivery before ends.
    for (let turn = 0; turn < 5; turn++) await settle();
    add();
    for (let microtask = 0; microtask < 20; microtask++) await Promise.resolve();
    assert.equal(reader.told.length, count);
  }
  reader.leave();
});

Deno.test("a tick is ended early by the number of events, however fast they come", async () => {
  const { feed, add } = world();
  const reader = new Reader(feed, "0.0");
  reader.ask();
  for (let thousand = 0; thousand < 20; thousand++) {
    for (let count = 0; count < 4; count++) {
      add(250);
      await settle();
      reader.ask();
    }
  }
  assert.deepEqual(reader.told.map(({ id }) => id), ids(1, 20_000));
  reader.leave();
});

Deno.test("no event is handed out before it is on disk; if it does not get there, the readers' streams end", async () => {
  for (const fails of [false, true]) {
    const { feed, add, holdDisk, counts } = world();
    const [waiting, late] = [new Reader(feed, "0.0"), new Reader(feed, "0.0")];
    const written = holdDisk();
    waiting.ask();
    add();
    await settle();
    assert.deepEqual(waiting.told, []);
    written(fails ? new Error("full") : undefined);
    await settle();
    add(250);
    await settle();
    late.ask();
    await settle();
    assert.deepEqual([waiting.isOver, late.isOver], [fails, fails]);
    if (!fails) assert.deepEqual(late.told.map(({ id }) => id), ids(1, 250));
    else assert.deepEqual([waiting.text, late.text], ["", ""]);
    for (const reader of [waiting, late]) reader.leave();
    assert.equal(counts.ended, fails ? 2 : 1);
  }
});

Deno.test("a reader that comes later than others gets no event that they could not have yet", async () => {
  const { feed, add, holdDisk } = world({ tickMs: 0 });
  add();
  // They are at different places, so that no batch of the one is there for the other.
  const [first, late] = [new Reader(feed, "1.1"), new Reader(feed, "0.0")];
  first.ask();
  await settle();
  add();
  await settle();
  const written = holdDisk();
  add();
  late.ask();
  await settle();
  assert.deepEqual([first, late].map(({ told }) => told.map(({ id }) => id)), [ids(2, 2), ids(1, 2)]);
  for (const reader of [first, late]) reader.ask();
  written();
  await settle();
  await settle();
  assert.deepEqual([first, late].map(({ told }) => told.map(({ id }) => id)), [ids(2, 3), ids(1, 3)]);
  for (const reader of [first, late]) reader.leave();
});

Deno.test("when the run ends, readers get what is left and then the end, now or when they ask", async () => {
  const { feed, events, add } = world();
  const [waiting, busy] = [new Reader(feed, "0.0"), new Reader(feed, "0.0")];
  waiting.ask();
  await settle();
  add(3);
  events.close();
  await settle();
  for (const reader of [waiting, busy]) {
    if (reader === busy) reader.ask();
    assert.deepEqual([reader.told.length, reader.isOver], [3, false]);
    reader.ask();
    assert.ok(reader.isOver);
  }
  const late = new Reader(feed);
  late.ask();
  await settle();
  assert.ok(late.isOver);
});

Deno.test("a quiet feed sends heartbeats to those who ask, also while the disk takes nothing", async () => {
  const { feed, add, holdDisk } = world({ heartbeatMs: 1 });
  const [reader, busy] = [new Reader(feed, "0.0"), new Reader(feed, "0.0")];
  const written = holdDisk();
  reader.ask();
  add();
  while (reader.parts.length < 3) {
    await settle();
    reader.ask();
  }
  assert.match(reader.text, /^(:\n\n)+$/);
  assert.equal(busy.text, "");
  written();
  while (reader.told.length === 0) {
    await settle();
    reader.ask();
  }
  for (const each of [reader, busy]) each.leave();
});

Deno.test("a delivery to thousands of readers lets others run between its slices", async () => {
  const { feed, add } = world();
  let parts = 0, most = 0;
  const readers = Array.from({ length: 5000 }, () => {
    const reader = new Reader(feed, "0.0");
    const send = reader.send.bind(reader);
    reader.send = (bytes) => {
      parts += 1;
      send(bytes);
    };
    reader.ask();
    return reader;
  });
  await settle();
  add(250);
  for (let before = 0; before < readers.length;) {
    await settle();
    most = Math.max(most, parts - before);
    before = parts;
  }
  assert.ok(most > 0 && most <= 1000, `${most} parts in one turn`);
  for (const reader of readers) {
    assert.equal(reader.told.length, 250);
    reader.leave();
  }
});

Deno.test("nothing is left of a feed when its last reader has left, whatever it is doing", async () => {
  // A timer that is left would fail the test.
  for (const when of ["new", "asking", "telling the state", "flushing", "in a tick", "gone twice"]) {
    const { feed, add, counts, holdDisk } = world();
    const [first, second] = [
      new Reader(feed, when === "telling the state" ? undefined : "0.0"),
      new Reader(feed),
    ];
    const written = when === "telling the state" || when === "flushing" ? holdDisk() : () => {};
    if (when !== "new") first.ask();
    if (when !== "telling the state") await settle();
    if (when === "in a tick") add(250);
    if (when === "in a tick") await settle();
    first.leave();
    assert.deepEqual(counts, { leases: 1, watching: 1, ended: 0 }, when);
    second.leave();
    if (when === "gone twice") first.leave();
    assert.deepEqual(counts, { leases: 0, watching: 0, ended: 1 }, when);
    written();
    await settle();
    add();
    await settle();
    assert.equal(first.told.length, when === "in a tick" ? 250 : 0, when);
  }
});

/** What happens to a feed, and to one of its readers. */
const ACTIONS = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ ask: fc.nat(5) }) },
    { weight: 3, arbitrary: fc.record({ add: fc.constantFrom(1, 2, 3, 100, 251, 600) }) },
    { weight: 1, arbitrary: fc.record({ add: fc.constant(2100) }) },
    { weight: 2, arbitrary: fc.record({ join: fc.option(fc.nat()) }) },
    { weight: 1, arbitrary: fc.record({ leave: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.record({ disk: fc.constant("holds") }) },
    { weight: 1, arbitrary: fc.record({ disk: fc.constant("writes") }) },
  ),
  { maxLength: 60 },
);

Deno.test("readers that ask when they like, come and go get every event once and in order, or a gap", async () => {
  let gaps = 0, resumed = 0;
  await fc.assert(
    fc.asyncProperty(ACTIONS, async (actions) => {
      const { feed, add, holdDisk, events } = world({ tickMs: 0 });
      // It keeps the feed.
      const keeper = new Reader(feed);
      const readers: Reader[] = [], all: Reader[] = [], begins = new Map<Reader, string>();
      let write: (() => void) | undefined, made = 0, safe = 0;
      for (const action of actions) {
        if ("ask" in action) readers[action.ask]?.ask();
        if ("add" in action) {
          add(action.add);
          made += action.add;
        }
        if ("join" in action) {
          const place = action.join === null
            ? undefined
            : `${action.join % (safe + 1)}.${action.join % (safe + 1) ? 1 : 0}`;
          const reader = new Reader(feed, place);
          if (place !== undefined) begins.set(reader, place);
          readers.push(reader);
          all.push(reader);
        }
        if ("leave" in action) readers.splice(action.leave, 1)[0]?.leave();
        if ("disk" in action && action.disk === "holds") write ??= holdDisk();
        if ("disk" in action && action.disk === "writes") {
          write?.();
          write = undefined;
        }
        if (!write) safe = made;
        await settle();
        for (const { told } of all) {
          const last = Number(told.at(-1)?.id.split(".")[0] ?? 0);
          assert.ok(last <= safe, `${last} was handed out, ${safe} are on disk`);
        }
      }
      write?.();
      for (const reader of readers) {
        while (reader.place !== events.last) {
          reader.ask();
          await settle();
        }
      }
      for (const reader of all) {
        let last = begins.get(reader);
        if (last !== undefined && reader.told.length > 0) resumed += 1;
        for (const { id, type } of reader.told) {
          const sequence = Number(id.split(".")[0]);
          if (last === undefined) assert.equal(type, "state");
          else if (type === "gap") {
            gaps += 1;
            assert.ok(sequence > Number(last.split(".")[0]) + 1000);
          } else assert.equal(sequence, Number(last.split(".")[0]) + 1);
          last = id;
        }
      }
      for (const reader of [keeper, ...readers]) reader.leave();
    }),
    { numRuns: 60 },
  );
  assert.ok(gaps > 0 && resumed > 0, "the actions made no gap, or nobody came back");
});
