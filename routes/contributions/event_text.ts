/** Events as the text of server-sent events. */
import type { RunEvent } from "../../src/run/api/run_events.ts";
import { sayable } from "../http/answer.ts";

/** The time after which a disconnected reader reconnects by itself. */
const RETRY_MS = 2000;

const encoder = new TextEncoder();

export const BEGINNING = encoder.encode(`retry: ${RETRY_MS}\n\n`);
export const HEARTBEAT = encoder.encode(":\n\n");

interface SentEvent extends Pick<RunEvent, "id" | "data"> {
  readonly type: string;
}

export function encodeEvents(events: readonly SentEvent[]): Uint8Array<ArrayBuffer> {
  return encoder.encode(events.map(eventText).join(""));
}

/** The data is one line, because JSON escapes line breaks. */
function eventText({ id, type, data }: SentEvent): string {
  const json = JSON.stringify(data, (_, value) => typeof value === "number" ? sayable(value) : value);
  return `id: ${id}\nevent: ${type}\ndata: ${json}\n\n`;
}
