/** How bodies are read. */
import { GIB, MIB, type Setting } from "./setting.ts";

export const BODIES = {
  STEPWELL_BODY_BYTES_MAX: {
    kind: "number",
    unit: "bytes",
    default: GIB,
    minimum: 1024,
    maximum: 16 * GIB,
    description: "Largest binary body after decompression, whatever the run would accept.",
  },
  STEPWELL_JSON_BYTES_MAX: {
    kind: "number",
    unit: "bytes",
    default: 64 * MIB,
    minimum: 1024,
    maximum: 256 * MIB,
    description: "Largest JSON body after decompression, whatever the run would accept.",
  },
  STEPWELL_UPLOADS_MAX: {
    kind: "number",
    unit: "count",
    default: 64,
    minimum: 1,
    maximum: 10_000,
    description: "Bodies that are read at a time; further ones wait unread.",
  },
  STEPWELL_UPLOAD_BYTES_MAX: {
    kind: "number",
    unit: "bytes",
    default: 2 * GIB,
    minimum: 1024,
    maximum: 1024 * GIB,
    description: "Declared bytes of the bodies that are read at a time; one larger body is read alone.",
  },
  STEPWELL_UPLOAD_WAIT_SECONDS: {
    kind: "number",
    unit: "seconds",
    default: 10,
    minimum: 0,
    maximum: 300,
    description: "How long a body waits unread for its place before the answer is 503.",
  },
  STEPWELL_UPLOAD_SECONDS: {
    kind: "number",
    unit: "seconds",
    default: 120,
    minimum: 1,
    maximum: 3600,
    description: "How long a body may take to arrive once it is being read before the answer is 408.",
  },
  STEPWELL_UPLOAD_BYTES_PER_SECOND_MIN: {
    kind: "number",
    unit: "bytes",
    default: 4096,
    minimum: 0,
    maximum: GIB,
    description:
      "Bytes a second that a body must reach, counted after 5 s, while others wait; a slower one loses its place " +
      "(408).",
  },
  STEPWELL_DECODE_BYTES_MAX: {
    kind: "number",
    unit: "bytes",
    default: 256 * MIB,
    minimum: MIB,
    maximum: 1024 * GIB,
    description:
      "Memory of the bodies that are decompressed and parsed as JSON at a time; further ones wait, one larger is " +
      "parsed alone.",
  },
} as const satisfies Record<string, Setting>;
