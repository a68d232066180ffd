/**
 * What happens to a run as server-sent events. A reader asks, then the stream looks: nothing is made before somebody
 * wants it, so that a slow reader costs no memory; what is no longer kept when it comes back is a `gap`.
 *
 * Invariants: nothing is told that is not on disk; what the stream owns is released, however it ends.
 */
import type { RunEvent } from "../../src/run/api/run_events.ts";
import type { Lease } from "../../src/run/api/run_registry.ts";
import type { RunSession } from "../../src/run/api/run_session.ts";
import { sayable } from "../http/answer.ts";
import { roundState } from "./round_state.ts";
import { onAbort, waitFor } from "../http/wait_for.ts";

/** Events that go together: a reader that was away gets the rest with its next looks. */
const BATCH_COUNT_MAX = 100;
/** After which a reader whose connection has ended comes back by itself. */
const RETRY_MS = 2000;
const HEARTBEAT = ":\n\n";

const encoder = new TextEncoder();

interface Stream {
  readonly run: RunSession;
  readonly lease: Lease;
  /** The id after which to go on; undefined: from now on, after a `state`. */
  readonly from: string | undefined;
  readonly heartbeatSeconds: number;
  /** Any of them ends it. */
  readonly signals: readonly AbortSignal[];
  /** Disposed of when the stream ends. */
  readonly owned: DisposableStack;
}

export function eventStream(stream: Stream): ReadableStream<Uint8Array<ArrayBuffer>> {
  const { run: { events }, lease, heartbeatSeconds, signals, owned } = stream;
  const gone = new AbortController();
  const take = taker(stream);
  const next = async () => {
    const text = await waitFor(events, {
      seconds: heartbeatSeconds,
      signals: [...signals, gone.signal],
      find: take,
    });
    if (text === undefined) return events.closed ? undefined : HEARTBEAT;
    await lease.durable();
    return text;
  };
  let stop = () => {};
  const end = () => {
    if (gone.signal.aborted) return false;
    gone.abort();
    owned.dispose();
    return true;
  };
  return new ReadableStream({
    start(controller) {
      stop = () => void (end() && controller.close());
      for (const signal of signals) owned.use(onAbort(signal, stop));
      if (signals.some(({ aborted }) => aborted)) stop();
    },
    async pull(controller) {
      // What could not be written to disk is not told; the reader comes back to the run as it is then.
      const text = await next().catch(() => undefined);
      if (text === undefined) stop();
      else if (!gone.signal.aborted) controller.enqueue(encoder.encode(text));
    },
    cancel: () => void end(),
  }, { highWaterMark: 0 });
}

/** Gives the text of what has happened since it was last called; undefined: nothing. */
function taker({ run, from }: Stream): () => string | undefined {
  const { events } = run;
  let place = from ?? events.last;
  let isFirst = true;
  const now = (type: "state" | "gap") => {
    place = events.last;
    return eventText({ id: place, type, data: roundState(run).state });
  };
  const take = () => {
    const { events: all, missed } = events.since(place);
    // Not what is kept of the past: after this state it would lead astray.
    if (missed) return now("gap");
    const batch = all.slice(0, BATCH_COUNT_MAX);
    place = batch.at(-1)?.id ?? place;
    return batch.length > 0 ? batch.map(textOf).join("") : undefined;
  };
  return () => {
    if (!isFirst) return take();
    isFirst = false;
    const begin = from === undefined ? now("state") : take() ?? "";
    return `retry: ${RETRY_MS}\n\n${begin}`;
  };
}

/** Made once for all who are told of the event. */
const texts = new WeakMap<RunEvent, string>();

function textOf(event: RunEvent): string {
  const text = texts.get(event) ?? eventText(event);
  texts.set(event, text);
  return text;
}

/** One line of data: JSON escapes every line break. */
function eventText({ id, type, data }: Pick<RunEvent, "id" | "data"> & { readonly type: string }): string {
  const json = JSON.stringify(data, (_, value) => typeof value === "number" ? sayable(value) : value);
  return `id: ${id}\nevent: ${type}\ndata: ${json}\n\n`;
}
