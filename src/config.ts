/**
 * The settings of the service: one table with name, unit, default, bounds and meaning, and the function that reads
 * them. It does not read the environment: `main.ts` passes a lookup. The README's table is generated from this one.
 *
 * Invariant: a `Settings` value is complete and within its bounds. A bad setting is a `SettingError` of one line.
 */

import { isIP } from "node:net";

interface NumberSetting {
  readonly kind: "number";
  readonly unit: "port" | "bytes" | "seconds" | "count";
  readonly default: number;
  readonly minimum: number;
  readonly maximum: number;
  readonly description: string;
}

interface TextSetting {
  readonly kind: "text";
  readonly unit: "text";
  readonly default: string;
  readonly pattern: RegExp;
  /** What the pattern allows, in words. */
  readonly wanted: string;
  readonly description: string;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
/** Characters of a token that is not guessed over a network. */
const TOKEN_LENGTH_MIN = 16;

const SEGMENTS = "(/(?!\\.{1,2}(/|$))[A-Za-z0-9._~-]+)+";
/** A path without a slash at its end, dots or a first segment of the service's own paths. */
export const PATH_PREFIX = new RegExp(
  `^(?!/(v1|docs|healthz|readyz|metrics|openapi\\.json)(/|$))${SEGMENTS}$`,
);

export const SETTINGS = {
  STEPWELL_HOST: {
    kind: "text",
    unit: "text",
    default: "127.0.0.1",
    pattern: /^[A-Za-z0-9.:_-]{1,253}$/,
    wanted: "a host name or an IP address",
    description: "Address to listen on. Anything but loopback needs STEPWELL_TOKEN.",
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
      "Token that requests must carry as `Authorization: Bearer <token>`; at least 16 characters beyond loopback. " +
      "None: no token is asked for.",
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
  STEPWELL_LOG: {
    kind: "text",
    unit: "text",
    default: "requests",
    pattern: /^(requests|errors)$/,
    wanted: "requests or errors",
    description:
      "What goes to standard error, one JSON object a line: every request, or only what went wrong.",
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
      "Proxies whose `X-Forwarded-Prefix` stands for STEPWELL_PATH_PREFIX. None: the header is ignored.",
  },
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
    default: 10_000,
    minimum: 0,
    maximum: 100_000,
    description: "Requests with `Prefer: wait` that may wait at a time; one more gets 503.",
  },
  STEPWELL_EVENT_STREAMS_MAX: {
    kind: "number",
    unit: "count",
    default: 1000,
    minimum: 0,
    maximum: 100_000,
    description: "Streams of events that may be open at a time; one more gets 503.",
  },
  STEPWELL_HEARTBEAT_SECONDS: {
    kind: "number",
    unit: "seconds",
    default: 15,
    minimum: 1,
    maximum: 300,
    description: "After so long without an event a stream of events says that it is still there.",
  },
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
} as const satisfies Record<string, NumberSetting | TextSetting>;

type SettingName = keyof typeof SETTINGS;

/** The value of every setting by name: a number or a string. An absent token is the empty string. */
export type Settings = {
  readonly [Name in SettingName]: (typeof SETTINGS)[Name]["kind"] extends "number" ? number : string;
};

/** A setting is unusable. The message is one line for the operator and never contains the token. */
export class SettingError extends Error {
  override readonly name = "SettingError";
}

/**
 * Reads all settings through `lookup` (a variable's name → its text). An absent or empty variable gets its default.
 * Throws a `SettingError` for a value out of bounds, and for a host other than loopback without a token.
 */
export function readSettings(lookup: (name: string) => string | undefined): Settings {
  const settings = Object.fromEntries(
    Object.entries(SETTINGS).map(([name, setting]) => [name, readSetting(name, setting, lookup(name) ?? "")]),
  ) as unknown as Settings;
  checkAccess(settings);
  return settings;
}

/** The rules that several settings make together. */
function checkAccess(settings: Settings): void {
  const { STEPWELL_HOST: host, STEPWELL_TOKEN: token } = settings;
  if (token === "") {
    if (!isLoopback(host)) {
      throw new SettingError(
        `Cannot listen on STEPWELL_HOST="${host}" without a token: set STEPWELL_TOKEN, or a ` +
          "loopback host (127.0.0.1, ::1, localhost)",
      );
    }
    if (settings.STEPWELL_CORS_ORIGINS === "*") {
      throw new SettingError(
        'Cannot use STEPWELL_CORS_ORIGINS="*" without a token: every page could change every run; set STEPWELL_TOKEN, ' +
          "or name the origins",
      );
    }
  }
  if (token !== "" && token.length < TOKEN_LENGTH_MIN && !isLoopback(host)) {
    throw new SettingError(
      `Cannot listen on STEPWELL_HOST="${host}" with this STEPWELL_TOKEN: it has ${token.length} characters, must ` +
        `have at least ${TOKEN_LENGTH_MIN} beyond loopback`,
    );
  }
}

function readSetting(name: string, setting: NumberSetting | TextSetting, text: string): number | string {
  if (text === "") return setting.default;
  if (setting.kind === "text") {
    const isProxies = name === "STEPWELL_TRUSTED_PROXIES";
    if (setting.pattern.test(text) && (!isProxies || text.split(",").every(isSubnet))) return text;
    // The token is a secret even when it is malformed.
    const shown = name === "STEPWELL_TOKEN" ? "" : ` (is ${JSON.stringify(text)})`;
    throw new SettingError(`Cannot use ${name}${shown}: must be ${setting.wanted}`);
  }
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (value >= setting.minimum && value <= setting.maximum) return value;
  throw new SettingError(
    `Cannot use ${name} (is ${JSON.stringify(text)}): must be a whole number from ${setting.minimum} to ` +
      `${setting.maximum}${setting.unit === "count" ? "" : ` (${setting.unit})`}`,
  );
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function isSubnet(text: string): boolean {
  const [address = "", bits = "0", ...rest] = text.trim().split("/");
  return isIP(address) !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (isIP(address) === 6 ? 128 : 32) &&
    rest.length === 0;
}
