/** How losses are evaluated. */
import { MIB, type Setting } from "./setting.ts";

export const LOSSES = {
  STEPWELL_LOSS_SECONDS: {
    kind: "number",
    unit: "seconds",
    default: 10,
    minimum: 1,
    maximum: 3600,
    description: "How long a loss may take to be evaluated and differentiated before it is stopped.",
  },
  STEPWELL_LOSS_ELEMENTS_MAX: {
    kind: "number",
    unit: "count",
    default: 32 * MIB,
    minimum: 1,
    maximum: 256 * MIB,
    description:
      "Numbers that all tensors of a loss may have together; differentiating takes 12 to 80 bytes for each, 4 GiB at most.",
  },
  STEPWELL_LOSS_WORKERS: {
    kind: "number",
    unit: "count",
    default: 1,
    minimum: 1,
    maximum: 64,
    description:
      "Losses that are evaluated at a time, each by a thread that is started when it is first needed.",
  },
  STEPWELL_LOSSES_MAX: {
    kind: "number",
    unit: "count",
    default: 256,
    minimum: 1,
    maximum: 10_000,
    description: "Losses that may wait or be evaluated at a time; one more gets 503.",
  },
} as const satisfies Record<string, Setting>;
