/**
 * Waits with a time limit for a change of a run. Any number of requests can wait at once. It knows no operation and
 * reads no event: a waiting request that is woken looks for its result itself.
 *
 * Invariant: however a wait ends, it leaves nothing behind: no timer, no listener.
 */
import { type Releasable, releasable } from "../../src/releasable.ts";
import type { RunEvents } from "../../src/run/api/run_events.ts";

type Listeners = Set<() => void>;

interface Abort {
  readonly listeners: Listeners;
  readonly wake: () => void;
}

/** The listeners by signal. They share one listener of it, because adding one compares it with all present ones. */
const aborts = new WeakMap<AbortSignal, Abort>();

/** Calls `listener` when the signal is aborted, unless it is released before. */
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
  /** Any of them ends the wait: the caller has disconnected, or the service is stopping. */
  readonly signals: readonly AbortSignal[];
  /** The awaited result; undefined: not there yet. May throw. */
  readonly find: () => T | undefined;
}

/** Waits for the result of `find`. Undefined if the time is over, a signal is aborted, or the session ends before. */
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
    // Looks synchronously: most looks of many waiting requests fail, and a promise costs more than a look.
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
    // A microtask later: the result may come in the same turn as the signal.
    const lookSoon = () => queueMicrotask(look);
    held.defer(() => clearTimeout(timer));
    held.use(events.watch(look));
    for (const signal of signals) held.use(onAbort(signal, lookSoon));
  });
}
