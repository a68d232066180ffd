/** Where runs are kept, when they are saved, and when they leave memory. */
import { GIB, MIB, type Setting } from "./setting.ts";

export const STORAGE = {
  STEPWELL_DATA: {
    kind: "text",
    unit: "text",
    default: "./data",
    pattern: /^[^\0]{1,4096}$/,
    wanted: "a path",
    description: "Folder for journals and snapshots; made when it is missing. One process at a time.",
  },
  STEPWELL_KV: {
    kind: "text",
    unit: "text",
    default: "",
    pattern: /^[^\0]{1,4096}$/,
    wanted: "a path or a URL",
    description:
      "Database for the runs' records: a file, or a KV Connect URL, whose access token stands in DENO_KV_ACCESS_TOKEN. " +
      "None: a file in STEPWELL_DATA.",
  },
  STEPWELL_JOURNAL_BYTES: {
    kind: "number",
    unit: "bytes",
    default: 256 * MIB,
    minimum: 0,
    maximum: 1024 * GIB,
    description: "A run's journal of more bytes asks for a snapshot.",
  },
  STEPWELL_IDLE_SECONDS: {
    kind: "number",
    unit: "seconds",
    default: 600,
    minimum: 1,
    maximum: 31_536_000,
    description:
      "A run that nobody has used for so long leaves memory; it comes back from disk when it is asked for.",
  },
  STEPWELL_SWEEP_SECONDS: {
    kind: "number",
    unit: "seconds",
    default: 5,
    minimum: 1,
    maximum: 3600,
    description:
      "How often idle runs and long journals are looked for; runs with durability snapshot are saved then.",
  },
  STEPWELL_SHUTDOWN_SECONDS: {
    kind: "number",
    unit: "seconds",
    default: 10,
    minimum: 0,
    maximum: 300,
    description: "How long requests in flight may take to finish after SIGTERM or SIGINT.",
  },
} as const satisfies Record<string, Setting>;
