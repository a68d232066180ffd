/**
 * The events of a run as server-sent events. The stream makes text only when the reader pulls, so a slow reader costs
 * no memory. Events that are no longer kept when the reader pulls are replaced by a `gap`.
 *
 * Invariants: no event is sent before it is on disk. The stream releases what it owns, however it ends.
 */
import type { RunEvent } from "../../src/run/api/run_events.ts";
import type { Lease } from "../../src/run/api/run_registry.ts";
import type { RunSession } from "../../src/run/api/run_session.ts";
import { sayable } from "../http/answer.ts";
import { roundState } from "./round_state.ts";
import { onAbort, waitFor } from "../http/wait_for.ts";

/** Events per pull. A reader that was away gets the rest with its next pulls. */
const BATCH_COUNT_MAX = 100;
/** The time after which a disconnected reader reconnects by itself. */
const RETRY_MS = 2000;
const HEARTBEAT = ":\n\n";

const encoder = new TextEncoder();

interface Stream {
  readonly run: RunSession;
  readonly lease: Lease;
  /** The id of the last event that the reader has; undefined: begin with a `state`, from now on. */
  readonly from: string | undefined;
  readonly heartbeatSeconds: number;
  /** The pause after each part, in milliseconds; events of the pause are sent together. */
  readonly pauseMs: () => number;
  /** Any of them ends the stream. */
  readonly signals: readonly AbortSignal[];
  /** Disposed when the stream ends. */
  readonly owned: DisposableStack;
}

export function eventStream(stream: Stream): ReadableStream<Uint8Array<ArrayBuffer>> {
  const { run: { events }, lease, heartbeatSeconds, signals, owned } = stream;
  const gone = new AbortController();
  const take = taker(stream);
  let isFirst = true;
  const next = async () => {
    if (!isFirst) await pause(stream.pauseMs(), gone.signal);
    isFirst = false;
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
      // An event that could not be written to disk is not sent. The reader reconnects and gets the state of then.
      const text = await next().catch(() => undefined);
      if (text === undefined) stop();
      else if (!gone.signal.aborted) controller.enqueue(encoder.encode(text));
    },
    cancel: () => void end(),
  }, { highWaterMark: 0 });
}

/** Many streams of one busy run would otherwise take more time than its steps, read or not. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms === 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const held = new DisposableStack();
    const end = () => {
      held.dispose();
      resolve();
    };
    const timer = setTimeout(end, ms);
    held.defer(() => clearTimeout(timer));
    held.use(onAbort(signal, end));
  });
}

/** Returns a function that gives the text of the events since its last call; undefined: none. */
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
    // Without the older events that are still kept: they would be wrong after this state.
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

/** The text of each event, made once for all readers. */
const texts = new WeakMap<RunEvent, string>();

function textOf(event: RunEvent): string {
  const text = texts.get(event) ?? eventText(event);
  texts.set(event, text);
  return text;
}

/** The data is one line, because JSON escapes line breaks. */
function eventText({ id, type, data }: Pick<RunEvent, "id" | "data"> & { readonly type: string }): string {
  const json = JSON.stringify(data, (_, value) => typeof value === "number" ? sayable(value) : value);
  return `id: ${id}\nevent: ${type}\ndata: ${json}\n\n`;
}
