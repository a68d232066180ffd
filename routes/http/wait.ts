/**
 * `Prefer: wait` (RFC 7240): a request that waits for what is not there yet, with its place among all that do. What it
 * waits for is its operation's.
 *
 * Invariant: who gets no place is refused before anything has changed.
 */
import type { RunEvents } from "../../src/run/api/run_events.ts";
import type { AppContext, Services } from "./context.ts";
import { preference } from "./prefer.ts";
import { waitFor } from "./wait_for.ts";

/** Holds its place until it is disposed of. */
export interface Wait extends Disposable {
  /** What `find` gives, as soon as it does; undefined when the time is over. The answer then says how long that was. */
  until<T>(events: RunEvents, find: () => T | undefined): Promise<T | undefined>;
}

/** As long as the request asks for and the settings allow; undefined when it does not ask. Throws busy. */
export function openWait(c: AppContext, { settings, stopping, waits }: Services): Wait | undefined {
  const asked = preference(c, "wait");
  if (asked === undefined || !/^\d+$/.test(asked)) return undefined;
  const seconds = Math.min(Number(asked), settings.STEPWELL_WAIT_SECONDS_MAX);
  const place = seconds > 0 ? waits.acquireNow() : undefined;
  return {
    until: (events, find) => {
      c.header("Preference-Applied", `wait=${seconds}`);
      return waitFor(events, { seconds, signals: [c.req.raw.signal, stopping], find });
    },
    [Symbol.dispose]: () => place?.release(),
  };
}
