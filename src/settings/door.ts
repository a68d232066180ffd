/** Where the service listens, who may use it, and what it says of its requests. */
import type { Setting } from "./setting.ts";

const SEGMENTS = "(/(?!\\.{1,2}(/|$))[A-Za-z0-9._~-]+)+";
/** A path without a slash at its end, dots or a first segment of the service's own paths. */
export const PATH_PREFIX = new RegExp(
  `^(?!/(v1|docs|healthz|readyz|metrics|openapi\\.json)(/|$))${SEGMENTS}$`,
);

export const DOOR = {
  STEPWELL_HOST: {
    kind: "text",
    unit: "text",
    default: "127.0.0.1",
    pattern: /^[A-Za-z0-9.:_-]{1,253}$/,
    wanted: "a host name or an IP address",
    description: "Address to listen on. Anything but loopback needs STEPWELL_TOKEN or STEPWELL_TOKENS.",
  },
  STEPWELL_PORT: {
    kind: "number",
    unit: "port",
    default: 8080,
    minimum: 0,
    maximum: 65_535,
    description: "Port to listen on; 0 takes a free one, which the ready line names.",
  },
  STEPWELL_TOKEN: {
    kind: "text",
    unit: "text",
    default: "",
    pattern: /^[A-Za-z0-9._~+/-]+=*$/,
    wanted: "letters, digits and -._~+/ with = at the end only (what a bearer token may hold)",
    description:
      "Token for everything, which requests carry as `Authorization: Bearer <token>`; at least 16 characters beyond " +
      "loopback. Without it and STEPWELL_TOKENS no token is asked for.",
  },
  STEPWELL_TOKENS: {
    kind: "text",
    unit: "text",
    default: "",
    pattern: /^[^\0,]{1,4096}$/,
    wanted: "a path without commas",
    description:
      "JSON file of further tokens, each with its scopes, runs and perhaps client; read again when it changes.",
  },
  STEPWELL_REQUESTS_PER_SECOND: {
    kind: "number",
    unit: "count",
    default: 0,
    minimum: 0,
    maximum: 1_000_000,
    description:
      "Requests that each token of the file, or each address without one, may send on average; those of 10 s may come " +
      "together. One more gets 429. 0: any number.",
  },
  STEPWELL_HOSTS: {
    kind: "text",
    unit: "text",
    default: "",
    pattern: /^[a-z0-9._-]+(:\d{1,5})?(, *[a-z0-9._-]+(:\d{1,5})?)*$/i,
    wanted: "host names, each with or without a port, with commas between",
    description:
      "Names besides those of loopback that the service answers to, as a `Host` header has them. None: no others " +
      "on loopback, every name elsewhere.",
  },
  STEPWELL_CORS_ORIGINS: {
    kind: "text",
    unit: "text",
    default: "",
    pattern: /^(\*|[a-z][a-z0-9+.-]*:\/\/[^\s,/]+(, *[a-z][a-z0-9+.-]*:\/\/[^\s,/]+)*)$/i,
    wanted: "origins such as https://example.org with commas between, or *",
    description:
      "Origins whose pages may use the service in a browser. `*` is every page, and needs a token. None: only pages " +
      "of the service itself.",
  },
  STEPWELL_PATH_PREFIX: {
    kind: "text",
    unit: "text",
    default: "",
    pattern: PATH_PREFIX,
    wanted: "a path such as /stepwell, without a slash at its end, that begins like no path of the service",
    description:
      "Path under which a proxy serves the service: `Location` and links begin with it. None: the root.",
  },
  STEPWELL_TRUSTED_PROXIES: {
    kind: "text",
    unit: "text",
    default: "",
    pattern: /^[0-9A-Fa-f.:/]+( *, *[0-9A-Fa-f.:/]+)*$/,
    wanted: "IP addresses or subnets such as 10.0.0.0/8 with commas between",
    description:
      "Proxies whose `X-Forwarded-For` or `Forwarded` tells the client's address, and whose `X-Forwarded-Prefix` " +
      "stands for STEPWELL_PATH_PREFIX. None: the headers are ignored.",
  },
  STEPWELL_LOG: {
    kind: "text",
    unit: "text",
    default: "requests",
    pattern: /^(requests|errors)$/,
    wanted: "requests or errors",
    description:
      "What goes to standard error, one JSON object a line: every request, or only what went wrong.",
  },
} as const satisfies Record<string, Setting>;
