/** Requests that stay open. */
import type { Setting } from "./setting.ts";

export const WAITS = {
  STEPWELL_WAIT_SECONDS_MAX: {
    kind: "number",
    unit: "seconds",
    default: 60,
    minimum: 0,
    maximum: 3600,
    description: "How long a request may wait at most that asks for it with `Prefer: wait`.",
  },
  STEPWELL_WAITS_MAX: {
    kind: "number",
    unit: "count",
    default: 20_000,
    minimum: 0,
    maximum: 100_000,
    description:
      "Requests with `Prefer: wait` that may wait at a time, half of them of one client; one more gets 503.",
  },
  STEPWELL_EVENT_STREAMS_MAX: {
    kind: "number",
    unit: "count",
    default: 2000,
    minimum: 0,
    maximum: 100_000,
    description:
      "Streams of events that may be open at a time, half of them of one client; one more gets 503.",
  },
  STEPWELL_HEARTBEAT_SECONDS: {
    kind: "number",
    unit: "seconds",
    default: 15,
    minimum: 1,
    maximum: 300,
    description: "After so long without an event a stream of events says that it is still there.",
  },
} as const satisfies Record<string, Setting>;
