/** What all runs together may take. */
import { GIB, MIB, type Setting } from "./setting.ts";

export const BOUNDS = {
  STEPWELL_RUNS_MAX: {
    kind: "number",
    unit: "count",
    default: 20_000,
    minimum: 1,
    maximum: 1_000_000,
    description: "Runs that may be open at a time.",
  },
  STEPWELL_MEMORY_BYTES_MAX: {
    kind: "number",
    unit: "bytes",
    default: 4 * GIB,
    minimum: MIB,
    maximum: 1024 * GIB,
    description: "Memory of all runs: variables, slots, staging and published copies.",
  },
  STEPWELL_STEP_SECONDS_MAX: {
    kind: "number",
    unit: "seconds",
    default: 2,
    minimum: 1,
    maximum: 3600,
    description:
      "How long a step of all elements may take, in which nobody else is answered; runs whose rule, size and aggregator take longer are refused.",
  },
} as const satisfies Record<string, Setting>;
