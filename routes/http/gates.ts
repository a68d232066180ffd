/** The gates of the HTTP layer. They bound the bodies being read, the open event streams and the waiting requests. */
import type { Settings } from "../../src/config.ts";
import { Gate } from "../../src/gate.ts";

export interface Gates {
  /** Backpressure: a body stays unread until it has a place. Its weight is its declared bytes. */
  readonly uploads: Gate;
  /** Bodies that are decompressed. Their weight is the memory of the decoder. */
  readonly decoders: Gate;
  /** JSON bodies that are longer than a short one. Their weight is the memory of what they become. */
  readonly parsers: Gate;
  readonly streams: Gate;
  /** Requests with `Prefer: wait` that are waiting. */
  readonly waits: Gate;
}

/** The part of each gate's places that one client may hold, so that the rest is there for others. */
const SHARE = 0.5;
/** The part of STEPWELL_DECODE_BYTES_MAX that is for decoders. */
const DECODER_PART = 0.25;

export function gatesOf(settings: Settings): Gates {
  return {
    uploads: uploadGate(settings),
    // A body enters the second after the first and never the other way round: no two wait for each other.
    decoders: decodeGate(settings, DECODER_PART),
    parsers: decodeGate(settings, 1 - DECODER_PART),
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
    share: SHARE,
    waitSeconds,
    refusal: ({ count, weight }, own) =>
      own
        ? `Cannot read this body: after ${waitSeconds} s, ${own.count} others of this client with ${own.weight} ` +
          `bytes are still being read, must fit into half of ${countMax} bodies and ${bytesMax} bytes`
        : `Cannot read this body: after ${waitSeconds} s, ${count} others with ${weight} bytes are still being ` +
          `read, must fit among ${countMax} bodies and ${bytesMax} bytes`,
  });
}

function decodeGate(settings: Settings, part: number): Gate {
  const { STEPWELL_UPLOAD_WAIT_SECONDS: waitSeconds } = settings;
  const bytesMax = Math.floor(part * settings.STEPWELL_DECODE_BYTES_MAX);
  return new Gate({
    count: Infinity,
    weight: bytesMax,
    share: SHARE,
    waitSeconds,
    refusal: ({ count, weight }, own) =>
      own
        ? `Cannot decode this body: after ${waitSeconds} s, ${own.count} others of this client still take ` +
          `${own.weight} bytes of memory, must fit into half of ${bytesMax} bytes`
        : `Cannot decode this body: after ${waitSeconds} s, ${count} others still take ${weight} bytes of memory, ` +
          `must fit into ${bytesMax} bytes`,
  });
}

/** A gate for long requests, so none waits for another to end. `purpose` is for the error: "Cannot {purpose}". */
function requestGate(purpose: string, countMax: number): Gate {
  return new Gate({
    count: countMax,
    share: SHARE,
    refusal: ({ count }, own) =>
      own
        ? `Cannot ${purpose}: ${own.count} requests of this client already do, must be at most half of ${countMax}`
        : `Cannot ${purpose}: ${count} requests already do, the most allowed`,
  });
}
