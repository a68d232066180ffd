/** Settings of the server itself: which one speaks HTTP, how long it waits, and TLS. */
import { MIB, type Setting } from "./setting.ts";

export const LANE = {
  STEPWELL_HTTP: {
    kind: "text",
    unit: "text",
    default: "lane",
    pattern: /^(lane|deno)$/,
    wanted: "lane or deno",
    description:
      "The server that speaks HTTP: `lane` is the service's own, for HTTP/1.1; `deno` is Deno's, for HTTP/1.1 and HTTP/2.",
  },
  STEPWELL_HEAD_BYTES_MAX: {
    kind: "number",
    unit: "bytes",
    default: 65_536,
    minimum: 1024,
    maximum: MIB,
    description: "Largest head of a request, its first line and headers, with `lane`; a larger one gets 431.",
  },
  STEPWELL_HEADERS_MAX: {
    kind: "number",
    unit: "count",
    default: 100,
    minimum: 10,
    maximum: 10_000,
    description: "Headers that a request may have, with `lane`; one more gets 431.",
  },
  STEPWELL_HEAD_SECONDS: {
    kind: "number",
    unit: "seconds",
    default: 10,
    minimum: 1,
    maximum: 300,
    description: "How long a head may take to arrive, with `lane`, before the answer is 408.",
  },
  STEPWELL_KEEP_ALIVE_SECONDS: {
    kind: "number",
    unit: "seconds",
    default: 75,
    minimum: 1,
    maximum: 3600,
    description:
      "How long a connection stays open, with `lane`, on which no request comes, or whose client takes nothing of its " +
      "answer.",
  },
  STEPWELL_TLS_CERT: {
    kind: "text",
    unit: "text",
    default: "",
    pattern: /^[^\0,]{1,4096}$/,
    wanted: "a path without commas",
    description:
      "File with the certificate chain in PEM, read at the start: the service then speaks TLS. Needs STEPWELL_TLS_KEY.",
  },
  STEPWELL_TLS_KEY: {
    kind: "text",
    unit: "text",
    default: "",
    pattern: /^[^\0,]{1,4096}$/,
    wanted: "a path without commas",
    description: "File with the private key of the certificate in PEM.",
  },
} as const satisfies Record<string, Setting>;
