/**
 * `Prefer: wait` (RFC 7240): a request that waits for a result, with its place among all waiting requests. The
 * operation decides what it waits for.
 *
 * Invariant: a request that gets no place is refused before it changes anything.
 */
import type { RunEvents } from "../../src/run/api/run_events.ts";
import { revocation } from "./access.ts";
import { clientOf } from "./client.ts";
import type { AppContext, Services } from "./context.ts";
import { preference } from "./prefer.ts";
import { waitFor } from "./wait_for.ts";

/** Holds a place until it is disposed. */
export interface Wait extends Disposable {
  /** Waits for what `find` returns; undefined if the time is over. Sets `Preference-Applied` on the answer. */
  until<T>(events: RunEvents, find: () => T | undefined): Promise<T | undefined>;
}

/** A wait as long as the request asks and the settings allow; undefined if it does not ask. Throws busy. */
export function openWait(c: AppContext, { settings, stopping, waits }: Services): Wait | undefined {
  const asked = preference(c, "wait");
  if (asked === undefined || !/^\d+$/.test(asked)) return undefined;
  const seconds = Math.min(Number(asked), settings.STEPWELL_WAIT_SECONDS_MAX);
  const place = seconds > 0 ? waits.acquireNow(0, clientOf(c)) : undefined;
  return {
    until: (events, find) => {
      c.header("Preference-Applied", `wait=${seconds}`);
      return waitFor(events, { seconds, signals: [c.req.raw.signal, stopping, ...revocation(c)], find });
    },
    [Symbol.dispose]: () => place?.release(),
  };
}
