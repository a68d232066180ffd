/**
 * Waiting for something to happen to a run, for a time, by any number of requests at once. Knows no operation and
 * reads no event: who is woken looks for itself.
 *
 * Invariant: who has waited leaves nothing behind, however it ended: no timer, no listener, no promise that grows.
 */
import { type Releasable, releasable } from "../../src/releasable.ts";
import type { RunEvents } from "../../src/run/api/run_events.ts";

type Listeners = Set<() => void>;

/** All that wait for the same run: one promise of its events, however many there are. */
const watches = new WeakMap<RunEvents, Listeners>();

/** Calls `listener` after each event until it is released. */
function watch(events: RunEvents, listener: () => void): Releasable {
  const present = watches.get(events);
  const listeners: Listeners = present ?? new Set();
  listeners.add(listener);
  if (!present) {
    watches.set(events, listeners);
    void wakeAll(events, listeners);
  }
  return releasable(() => void listeners.delete(listener));
}

async function wakeAll(events: RunEvents, listeners: Listeners): Promise<void> {
  while (listeners.size > 0 && !events.closed) {
    await events.changed();
    for (const listener of listeners) listener();
  }
  watches.delete(events);
}

interface Abort {
  readonly listeners: Listeners;
  readonly wake: () => void;
}

/** All that wait for the same signal: one listener of it, since it compares a further one with all that it has. */
const aborts = new WeakMap<AbortSignal, Abort>();

/** Calls `listener` when the signal comes, unless it is released before. */
export function onAbort(signal: AbortSignal, listener: () => void): Releasable {
  const abort = aborts.get(signal) ?? listenTo(signal);
  abort.listeners.add(listener);
  return releasable(() => {
    abort.listeners.delete(listener);
    if (abort.listeners.size > 0) return;
    signal.removeEventListener("abort", abort.wake);
    aborts.delete(signal);
  });
}

function listenTo(signal: AbortSignal): Abort {
  const listeners: Listeners = new Set();
  const wake = () => {
    for (const listener of listeners) listener();
  };
  const abort = { listeners, wake };
  signal.addEventListener("abort", wake);
  aborts.set(signal, abort);
  return abort;
}

interface Waiting<T> {
  readonly seconds: number;
  /** Any of them ends it: the caller has gone, the service is about to stop. */
  readonly signals: readonly AbortSignal[];
  /** What is waited for; undefined: not there yet. May throw. */
  readonly find: () => T | undefined;
}

/** What is waited for, as soon as it is there; undefined when the time is over, a signal came, or the session ended. */
export function waitFor<T>(events: RunEvents, waiting: Waiting<T>): Promise<T | undefined> {
  const { seconds, signals, find } = waiting;
  return new Promise((resolve, reject) => {
    let isOverdue = seconds === 0;
    let isOver = false;
    const held = new DisposableStack();
    const finish = () => {
      isOver = true;
      held.dispose();
    };
    // Looks where it is woken: of many that wait most look in vain, and a promise for each look costs more than a look.
    const look = () => {
      if (isOver) return;
      try {
        const isLast = isOverdue || events.closed || signals.some(({ aborted }) => aborted);
        const found = find();
        if (found === undefined && !isLast) return;
        finish();
        resolve(found);
      } catch (error) {
        finish();
        reject(error);
      }
    };
    look();
    if (isOver) return;
    const timer = setTimeout(() => {
      isOverdue = true;
      look();
    }, seconds * 1000);
    // Not before those who end it are done: what is waited for may come in the same moment.
    const lookSoon = () => queueMicrotask(look);
    held.defer(() => clearTimeout(timer));
    held.use(watch(events, look));
    for (const signal of signals) held.use(onAbort(signal, lookSoon));
  });
}
