/** The gates of the HTTP layer. They bound the bodies being read, the open event streams and the waiting requests. */
import type { Settings } from "../../src/config.ts";
import { Gate } from "../../src/gate.ts";

export interface Gates {
  /** Backpressure: a body stays unread until it has a place. Its weight is its declared bytes. */
  readonly uploads: Gate;
  readonly streams: Gate;
  /** Requests with `Prefer: wait` that are waiting. */
  readonly waits: Gate;
}

export function gatesOf(settings: Settings): Gates {
  return {
    uploads: uploadGate(settings),
    streams: requestGate("read a stream of events", settings.STEPWELL_EVENT_STREAMS_MAX),
    waits: requestGate("wait for a result", settings.STEPWELL_WAITS_MAX),
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
      `Cannot read this body: after ${waitSeconds} s, ${count} others with ${weight} bytes are still being read, ` +
      `must fit among ${countMax} bodies and ${bytesMax} bytes`,
  });
}

/** A gate for long requests, so none waits for another to end. `purpose` is for the error: "Cannot {purpose}". */
function requestGate(purpose: string, countMax: number): Gate {
  return new Gate({
    count: countMax,
    refusal: ({ count }) => `Cannot ${purpose}: ${count} requests already do, the most allowed`,
  });
}
