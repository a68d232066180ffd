/** The gates of the HTTP layer: how many bodies are read, streams of events are open and requests wait at a time. */
import type { Settings } from "../../src/config.ts";
import { Gate } from "../../src/gate.ts";

export interface Gates {
  /** Backpressure: a body weighs its declared bytes, and stays unread until it has a place. */
  readonly uploads: Gate;
  readonly streams: Gate;
  /** Requests that wait for what is not there yet. */
  readonly waits: Gate;
}

export function gatesOf(settings: Settings): Gates {
  return {
    uploads: uploadGate(settings),
    streams: requestGate("read a stream of events", settings.STEPWELL_EVENT_STREAMS_MAX),
    waits: requestGate("wait for what is not there yet", settings.STEPWELL_WAITS_MAX),
  };
}

function uploadGate(settings: Settings): Gate {
  const { STEPWELL_UPLOADS_MAX: countMax, STEPWELL_UPLOAD_BYTES_MAX: bytesMax } = settings;
  const { STEPWELL_UPLOAD_WAIT_SECONDS: waitSeconds } = settings;
  return new Gate({
    count: countMax,
    weight: bytesMax,
    waitSeconds,
    refusal: ({ count, weight }) =>
      `Cannot read this body: after ${waitSeconds} s ${count} others with ${weight} bytes are being read, ` +
      `must leave room among ${countMax} and ${bytesMax} bytes`,
  });
}

/** Requests that may stay for long, so that none waits for another. Used in the error: "Cannot {purpose}". */
function requestGate(purpose: string, countMax: number): Gate {
  return new Gate({
    count: countMax,
    refusal: ({ count }) => `Cannot ${purpose}: ${count} others do, the most allowed`,
  });
}
