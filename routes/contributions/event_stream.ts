/**
 * The body of an answer that tells the events of a run as they happen. What it tells comes from the run's feed, when
 * the server asks for more: a slow reader costs no memory.
 *
 * Invariant: the stream releases what it owns, however it ends.
 */
import { onAbort } from "../http/wait_for.ts";
import type { EventFeed, FeedReader } from "./event_feed.ts";
import { BEGINNING } from "./event_text.ts";

interface Stream {
  readonly feed: EventFeed;
  /** The id of the last event that the reader has; undefined: begin with a `state`, from now on. */
  readonly from: string | undefined;
  /** Any of them ends the stream. */
  readonly signals: readonly AbortSignal[];
  /** Disposed when the stream ends. */
  readonly owned: DisposableStack;
}

export function eventStream({ feed, from, signals, owned }: Stream): ReadableStream<Uint8Array<ArrayBuffer>> {
  let reader: FeedReader;
  return new ReadableStream({
    start(controller) {
      reader = {
        place: from,
        send: (bytes) => controller.enqueue(bytes),
        end() {
          if (owned.disposed) return;
          owned.dispose();
          controller.close();
        },
      };
      owned.use(feed.join(reader));
      controller.enqueue(BEGINNING);
      for (const signal of signals) owned.use(onAbort(signal, reader.end));
      if (signals.some(({ aborted }) => aborted)) reader.end();
    },
    pull: () => feed.ask(reader),
    cancel: () => owned.dispose(),
  }, { highWaterMark: 0 });
}
