/** Waiting for changes of a run: what wakes a waiting request, and that it leaves nothing behind. */
import assert from "node:assert/strict";
import { type Releasable, releasable } from "../../../src/releasable.ts";
import { waitFor } from "../../../routes/http/wait_for.ts";
import { EventLog } from "../../../src/run/answers/events.ts";

/** Events that count their listeners. */
class Counted extends EventLog {
  watching = 0;

  override watch(listener: () => void): Releasable {
    const watch = super.watch(listener);
    this.watching += 1;
    return releasable(() => {
      this.watching -= 1;
      watch.release();
    });
  }
}

/** A signal that counts its listeners. */
function countedSignal() {
  const controller = new AbortController();
  const { signal } = controller;
  let listeners = 0;
  const { addEventListener, removeEventListener } = AbortSignal.prototype;
  Object.assign(signal, {
    addEventListener: (...given: Parameters<typeof addEventListener>) => {
      listeners += 1;
      addEventListener.apply(signal, given);
    },
    removeEventListener: (...given: Parameters<typeof removeEventListener>) => {
      listeners -= 1;
      removeEventListener.apply(signal, given);
    },
  });
  return { controller, signal, listeners: () => listeners };
}

const LONG = { seconds: 1000, signals: [] };

Deno.test("waitFor() returns a result that is there already", async () => {
  assert.equal(await waitFor(new EventLog(0), { ...LONG, find: () => 7 }), 7);
  assert.equal(await waitFor(new EventLog(0), { ...LONG, seconds: 0, find: () => 7 }), 7);
  assert.equal(await waitFor(new EventLog(0), { ...LONG, seconds: 0, find: () => undefined }), undefined);
});

Deno.test("waitFor() looks after every event", async () => {
  const events = new EventLog(0);
  let count = 0;
  const waits = [1, 2, 3].map((wanted) =>
    waitFor(events, { ...LONG, find: () => count >= wanted ? `${wanted} of ${count}` : undefined })
  );
  for (const _ of waits) {
    await new Promise((resolve) => setTimeout(resolve));
    count += 1;
    events.add(count, "run_changed", {});
  }
  assert.deepEqual(await Promise.all(waits), ["1 of 1", "2 of 2", "3 of 3"]);
});

Deno.test("waitFor() returns undefined when the time is over, a signal is aborted or the events end", async () => {
  const find = () => undefined;
  assert.equal(await waitFor(new EventLog(0), { seconds: 0.01, signals: [], find }), undefined);
  const controller = new AbortController();
  const signals = [new AbortController().signal, controller.signal];
  const waiting = waitFor(new EventLog(0), { ...LONG, signals, find });
  controller.abort();
  assert.equal(await waiting, undefined);
  assert.equal(await waitFor(new EventLog(0), { ...LONG, signals, find }), undefined);
  const events = new EventLog(0);
  const last = waitFor(events, { ...LONG, find });
  events.close();
  assert.equal(await last, undefined);
  assert.equal(await waitFor(events, { ...LONG, find }), undefined);
});

Deno.test("waitFor() looks once more when the wait ends, and finds a result of the same moment", async () => {
  for (const end of ["close", "abort"]) {
    const events = new EventLog(0);
    const controller = new AbortController();
    const found: string[] = [];
    const waiting = waitFor(events, { ...LONG, signals: [controller.signal], find: () => found[0] });
    if (end === "close") events.close();
    else controller.abort();
    found.push("it");
    assert.equal(await waiting, "it");
  }
});

Deno.test("waitFor() throws what a later look throws, and leaves nothing behind", async () => {
  const events = new EventLog(0);
  const { signal, listeners } = countedSignal();
  let isBroken = false;
  const waiting = waitFor(events, {
    ...LONG,
    signals: [signal],
    find: () => {
      if (isBroken) throw new Error("broken");
    },
  });
  isBroken = true;
  events.add(1, "run_changed", {});
  await assert.rejects(waiting, /broken/);
  assert.equal(listeners(), 0);
});

Deno.test("waitFor() leaves no listener behind when nothing happens to the run", async () => {
  const events = new Counted(0);
  const { signal, listeners } = countedSignal();
  for (let round = 0; round < 3; round++) {
    const waits = Array.from(
      { length: 100 },
      () => waitFor(events, { seconds: 0.001, signals: [signal], find: () => undefined }),
    );
    assert.deepEqual([events.watching, listeners()], [100, 1]);
    await Promise.all(waits);
    assert.deepEqual([events.watching, listeners()], [0, 0]);
  }
  const waiting = waitFor(events, { ...LONG, find: () => events.last === "2.1" || undefined });
  events.add(1, "run_changed", {});
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(events.watching, 1);
  events.add(2, "run_changed", {});
  assert.equal(await waiting, true);
  assert.equal(events.watching, 0);
});

Deno.test("waitFor() adds one listener to a signal for all waiting requests, however often they are woken", async () => {
  const events = new EventLog(0);
  const { controller, signal, listeners } = countedSignal();
  const looks = [0, 0, 0];
  const waits = looks.map((_, i) =>
    waitFor(events, { ...LONG, signals: [signal], find: () => void (looks[i] = (looks[i] ?? 0) + 1) })
  );
  assert.equal(listeners(), 1);
  events.add(1, "run_changed", {});
  await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual([looks, listeners()], [[2, 2, 2], 1]);
  controller.abort();
  assert.deepEqual(await Promise.all(waits), [undefined, undefined, undefined]);
  assert.deepEqual([looks, listeners()], [[3, 3, 3], 0]);
});

Deno.test("waitFor() does not look again after it has found, whatever happens in the same moment", async () => {
  const events = new EventLog(0);
  const controller = new AbortController();
  let looks = 0;
  const waiting = waitFor(events, {
    ...LONG,
    signals: [controller.signal],
    find: () => ++looks === 2 ? "it" : undefined,
  });
  events.add(1, "run_changed", {});
  controller.abort();
  assert.equal(await waiting, "it");
  events.close();
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(looks, 2);
});
