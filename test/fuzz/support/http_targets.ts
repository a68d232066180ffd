/** Paths, methods and queries of requests, mostly those of operations. */
import fc from "fast-check";
import { damaged, piled, repeated, seldom, strange } from "./texts.ts";

export const RUNS = ["demo", "demo", "demo", "demo", "round", "new", "nope"];

/** Every path and method. A path that is not here is `unknown_route`. */
const OPERATIONS = [
  ["GET", "/v1/runs"],
  ["GET", "/v1/runs/RUN"],
  ["DELETE", "/v1/runs/RUN"],
  ["GET", "/v1/runs/RUN/variables"],
  ["GET", "/v1/runs/RUN/weights"],
  ["GET", "/v1/runs/RUN/steps"],
  ["GET", "/v1/runs/RUN/rounds/current"],
  ["DELETE", "/v1/runs/RUN/rounds/current/contributions/phone"],
  ["GET", "/v1/runs/RUN/events"],
  ["GET", "/v1/runs/RUN/slots"],
  ["GET", "/v1/runs/RUN/slots/momentum"],
  ["GET", "/v1/runs/RUN/optimizer"],
  ["GET", "/v1/runs/RUN/checkpoint"],
  ["GET", "/v1/optimizers/Signum"],
  ["DELETE", "/v1/optimizers/Signum"],
  ["GET", "/v1/catalog"],
  ["GET", "/healthz"],
  ["GET", "/readyz"],
  ["GET", "/docs"],
  ["OPTIONS", "/v1/runs"],
  ["HEAD", "/v1/runs/RUN/variables"],
] as const;

export const operation = fc.tuple(fc.constantFrom(...OPERATIONS), fc.constantFrom(...RUNS)).map((
  [[method, path], run],
) => ({
  method: method as string,
  path: path.replace("RUN", run),
}));

/** As a client would have to write it, so that it is a URL at all. */
const escaped = (text: string) => encodeURI(text.toWellFormed()).replaceAll(/[?#]/g, encodeURIComponent);
export const path = damaged(operation.map(({ path }) => path)).map((text) =>
  `/${escaped(text.replace(/^\/+/, ""))}`
);

const QUERY_NAMES = [
  "limit",
  "cursor",
  "last_event_id",
  "aggregate",
  "dry_run",
  "rows",
  "names",
  "surprise",
  "limit",
];
const queryValue = fc.oneof(
  fc.constantFrom("1", "0", "1000", "1001", "true", "false", "demo", "4.1", "-1.0", "999999999999999.0", ""),
  fc.nat().map(String),
  strange,
);
export const query = fc.oneof(
  fc.constant(""),
  fc.array(fc.tuple(fc.constantFrom(...QUERY_NAMES), queryValue), { maxLength: 3 }).map((pairs) =>
    pairs.map(([name, value], at) =>
      `${at === 0 ? "?" : "&"}${name}=${encodeURIComponent(value.toWellFormed())}`
    )
      .join("")
  ),
  seldom(
    piled(["?", "&", "=", "%", "%2", "%00", "%zz", "+", "limit"]),
    repeated(["&a", "%41", "limit=1&"]),
    50,
  )
    .map((text) => `?${escaped(text)}`),
);
