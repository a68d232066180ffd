/**
 * Waiting for something to happen to a run, for a time, by any number of requests at once. Knows no operation and
 * reads no event: who is woken looks for itself.
 *
 * Invariant: who has waited leaves nothing behind, however it ended: no timer, no listener, no promise that grows.
 */
import type { RunEvents } from "../src/run/api.ts";

/** All that wait for the same run: one promise of its events, however many there are. */
const watches = new WeakMap<RunEvents, Set<() => void>>();

/** Calls `listener` after each event until the answer is called. */
function watch(events: RunEvents, listener: () => void): () => void {
  const present = watches.get(events);
  const listeners = present ?? new Set();
  listeners.add(listener);
  if (!present) {
    watches.set(events, listeners);
    void wakeAll(events, listeners);
  }
  return () => void listeners.delete(listener);
}

async function wakeAll(events: RunEvents, listeners: Set<() => void>): Promise<void> {
  while (listeners.size > 0 && !events.closed) {
    await events.changed();
    for (const listener of listeners) listener();
  }
  watches.delete(events);
}

interface Waiting<T> {
  readonly seconds: number;
  /** Any of them ends it: the caller has gone, the service is about to stop. */
  readonly signals: readonly AbortSignal[];
  /** What is waited for; undefined: not there yet. May throw. */
  readonly find: () => T | undefined;
}

/** What is waited for, as soon as it is there; undefined when the time is over, a signal came, or the session ended. */
export async function waitFor<T>(events: RunEvents, waiting: Waiting<T>): Promise<T | undefined> {
  const { seconds, signals, find } = waiting;
  const isOver = () => overdue || events.closed || signals.some(({ aborted }) => aborted);
  let overdue = seconds === 0;
  let wake = () => {};
  const woken = () => wake();
  const stopWatching = watch(events, woken);
  const timer = setTimeout(() => {
    overdue = true;
    wake();
  }, seconds * 1000);
  for (const signal of signals) signal.addEventListener("abort", woken);
  try {
    for (;;) {
      // Looked for once more after the end: it may have come in the same moment.
      const ended = isOver();
      const found = find();
      if (found !== undefined || ended) return found;
      await new Promise<void>((resolve) => wake = resolve);
    }
  } finally {
    clearTimeout(timer);
    stopWatching();
    for (const signal of signals) signal.removeEventListener("abort", woken);
  }
}
