/**
 * Whole requests to the service, as its app takes them: paths, queries, headers and bodies of every operation. Two
 * services get the same requests one after the other, and must go through the same states.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type ErrorCode, ERRORS, StepwellError } from "../../../src/errors.ts";
import {
  f32,
  file,
  FILE_TYPE,
  GRADIENTS,
  JSON_TYPE,
  SPEC,
  startService,
} from "../../routes/support/harness.ts";
import { SIGNUM } from "../../support/signum.ts";
import { type Parser, parser } from "./law.ts";
import { damaged, damagedBytes, piled, repeated, repetitions, seldom, strange, twisted } from "./texts.ts";
import { file as anyFile, jsonText, tensors } from "./wire_parsers.ts";

/** An answer has no more, however the request was. The rest of a problem's 64 KiB are its issues. */
const PROBLEM_BYTES_MAX = 80 << 10;
/** Nothing waits: neither for time, nor for another request. */
const SETTINGS = {
  STEPWELL_WAIT_SECONDS_MAX: 0,
  STEPWELL_RUNS_MAX: 6,
  STEPWELL_MEMORY_BYTES_MAX: 64 << 20,
  STEPWELL_JSON_BYTES_MAX: 1 << 20,
  STEPWELL_BODY_BYTES_MAX: 1 << 20,
  STEPWELL_CORS_ORIGINS: "https://example.org",
  STEPWELL_PATH_PREFIX: "/pre",
};

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array<ArrayBuffer> | undefined;
}

const RUNS = ["demo", "demo", "demo", "demo", "round", "new", "nope"];

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

const operation = fc.tuple(fc.constantFrom(...OPERATIONS), fc.constantFrom(...RUNS)).map((
  [[method, path], run],
) => ({
  method: method as string,
  path: path.replace("RUN", run),
}));

/** As a client would have to write it, so that it is a URL at all. */
const escaped = (text: string) => encodeURI(text.toWellFormed()).replaceAll(/[?#]/g, encodeURIComponent);
const path = damaged(operation.map(({ path }) => path)).map((text) =>
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
const query = fc.oneof(
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

interface HeaderValues {
  readonly inputs: fc.Arbitrary<string>;
  readonly extremes: readonly string[];
}

const header = (values: readonly string[], pieces: readonly string[]): HeaderValues => {
  const begins = ["", '"', values[0] ?? ""];
  return {
    inputs: seldom(
      fc.oneof(
        { weight: 3, arbitrary: fc.constantFrom(...values) },
        damaged(fc.constantFrom(...values)),
        piled(pieces, 8),
      ),
      repeated(pieces, { begins }),
    ),
    // The server takes some 90 kB of headers.
    extremes: begins.flatMap((begin) =>
      pieces.map((piece) => `${begin}${piece.repeat(Math.floor(80_000 / piece.length))} x`)
    ),
  };
};

const few = (...values: readonly string[]): HeaderValues => ({
  inputs: fc.constantFrom(...values),
  extremes: [],
});

const TYPES = [JSON_TYPE, FILE_TYPE, "application/octet-stream", `${JSON_TYPE}; charset=utf-8`, "text/plain"];
/** What every header may say. */
const HEADERS: Readonly<Record<string, HeaderValues>> = {
  Accept: header(
    ["*/*", JSON_TYPE, `${FILE_TYPE}, */*;q=0.1`, `${JSON_TYPE};q=0, *;q=.2`],
    ['"', '\\"', "\\", ",", ";", "a/b", "*/*", "q=", "0.5", " "],
  ),
  Prefer: header(
    ["return=representation", "wait=1", 'wait="1"', "return=minimal, wait=100", "respond-async"],
    ['"', '\\"', ",", ";", "=", "wait", "return", "1", " ", "representation"],
  ),
  "If-Match": header(['"v0"', '"v1"', "*", 'W/"v1"', '"v0", "v1"'], [
    '"',
    "W/",
    ",",
    "*",
    '"v1"',
    " ",
    '"v1",',
  ]),
  "If-None-Match": header(['"v0"', '"v1"', "*", 'W/"v1"'], ['"', "W/", ",", "*", '"v1"', " "]),
  "Idempotency-Key": header(["a", "b", '"c"', "x".repeat(255)], ["a", '"', " ", "\u00e9"]),
  "Last-Event-ID": header(["0.0", "1.1", "-1.0", "999999999999999.999999"], ["1", ".", "-", "9"]),
  Origin: header(["https://example.org", "http://localhost", "null", "https://evil.example"], [
    "http://",
    "a",
    ":",
  ]),
  Host: header(["localhost", "127.0.0.1:8080", "[::1]", "evil.example"], ["[", "]", ":", "a", ".", "1"]),
  "Sec-Fetch-Site": few("same-origin", "none", "cross-site", "same-site", ""),
  "Access-Control-Request-Method": few("POST", "PUT", "x", ""),
  "Access-Control-Request-Headers": header(["content-type, idempotency-key"], [",", "a", " "]),
  Authorization: header(["Bearer abc", "Basic YTpi"], ["Bearer ", "a", "=", " "]),
  "X-Request-Id": header(["abc", "a b"], ["a", "\u00ff"]),
  "X-Forwarded-Prefix": header(["/a", "/a/b"], ["/", "..", "a"]),
  "Content-Encoding": few("identity", "gzip", "br", "zstd", "deflate", "x", "gzip, gzip", ""),
  "Content-Length": few("0", "5", "-1", "1e3", "99999999999999999999", "9007199254740991", "x"),
  "Content-Type": header(TYPES, [";", "charset=", '"', "utf-8", ",", "application/", "json"]),
};

/** Values of headers are bytes. */
const sayable = (text: string) => text.replaceAll(/[^\x20-\x7e\x80-\xff]/g, "?").trim();
/** One or two of them: with all, almost every request would be refused for the first. */
const headers = fc.array(
  fc.oneof(
    ...Object.entries(HEADERS).map(([name, { inputs }]) =>
      inputs.map((text) => [name, sayable(text)] as const)
    ),
  ),
  { maxLength: 2 },
).map((pairs): Readonly<Record<string, string>> => Object.fromEntries(pairs));
/** Mostly none, where it is the body that is tried. */
const seldomHeaders = seldom(fc.constant({}), headers, 3);

const gradientFields = {
  gradients: GRADIENTS,
  client_id: "phone",
  weight: 2,
  base_iteration: 0,
  loss: 0.5,
  hyperparameters: { learning_rate: 0.1 },
};
const LOSS = { loss: "sum(nope)", inputs: { x: [1] }, var_list: ["bias"], grad_loss: 1, client_id: "phone" };
const someTensors = fc.oneof(tensors, tensors.map((value) => ({ ...GRADIENTS, ...value as object })));
const ROUND = {
  optimizer: "SGD",
  variables: SPEC.variables.map(({ name, shape }) => ({ name, shape })),
  aggregation: { mode: "round", quorum: 3, payload: "delta" },
};
const ids = fc.constantFrom("new", "other", "demo", ".x", "");
const VALUES = { kernel: [[1, 2, 3], [4, 5, 6]], bias: [1, 2, 3] };
/** Of the run "demo": its iterations, then two slots of each variable. */
const SLOTS = [VALUES.kernel, VALUES.bias, [[0, 0], [0, 0], [0, 0], [0, 0]], 0];
const WEIGHTS = [1, ...SLOTS, ...SLOTS];

/** JSON bodies by operation, mostly nearly right. */
const JSON_BODIES: readonly (readonly [method: string, path: string, fc.Arbitrary<unknown>])[] = [
  ["POST", "/v1/runs", fc.tuple(twisted(SPEC), ids).map(([spec, id]) => ({ ...spec as object, id }))],
  ["POST", "/v1/runs", twisted({ ...ROUND, id: "other" })],
  ["POST", "/v1/runs/RUN/gradients", twisted(gradientFields)],
  ["POST", "/v1/runs/RUN/gradients", someTensors.map((gradients) => ({ ...gradientFields, gradients }))],
  [
    "PUT",
    "/v1/runs/RUN/variables",
    fc.oneof(twisted({ variables: VALUES }), someTensors.map((variables) => ({ variables }))),
  ],
  ["PUT", "/v1/runs/RUN/weights", twisted({ weights: WEIGHTS })],
  ["PATCH", "/v1/runs/RUN/optimizer", twisted({ config: { learning_rate: 0.5 } })],
  ["POST", "/v1/runs/RUN/variables/gather", twisted({ name: "emb", indices: [0, 3, 1] })],
  ["POST", "/v1/optimizers", twisted(SIGNUM)],
  // Losses that cannot be evaluated: that would start a thread, and is no parser.
  ["POST", "/v1/runs/RUN/compute-gradients", twisted(LOSS)],
  [
    "POST",
    "/v1/runs/RUN/minimize",
    twisted({ ...LOSS, model: { class_name: "Sequential", config: { layers: [] } } }),
  ],
];

const jsonBody = fc.tuple(
  fc.constantFrom(...RUNS),
  fc.oneof(...JSON_BODIES.map(([method, path, bodies]) =>
    fc.oneof(
      { weight: 5, arbitrary: bodies.map((value) => JSON.stringify(value) ?? "") },
      { weight: 1, arbitrary: damaged(bodies.map((value) => JSON.stringify(value) ?? "")) },
      { weight: 1, arbitrary: jsonText },
    ).map((body) => ({ method, path, body }))
  )),
).map(([run, { method, path, body }]) => ({ method, path: path.replace("RUN", run), body }));

const savedText = {
  format_version: 1,
  created_at: "2025-01-31T12:00:00.000Z",
  version: 3,
  sequence: 3,
  round: 0,
  iterations: 2,
  hypers_created: false,
  scalars: {},
  created: [],
  slots: [],
  optimizer: { class_name: "SGD", config: { learning_rate: 0.1 } },
  spec: {
    optimizer: { class_name: "SGD", config: { learning_rate: 0.1 } },
    variables: [{ name: "w", shape: [2] }],
    aggregation: { mode: "immediate", aggregator: "Mean" },
    gradient_transformers: [],
    non_finite: "reject",
    durability: "journal",
  },
};
const checkpoint = twisted(savedText).map((saved) =>
  file({ "variables/w": f32([2], [1, 2]) }, { stepwell: JSON.stringify(saved) ?? "" })
);
const GRADIENT_FILE = file({ kernel: f32([2, 3], [1, 2, 3, 4, 5, 6]), scale: f32([], [1]) }, { weight: "2" });
const GRADIENTS_PATH = ["POST", "/v1/runs/RUN/gradients"] as const;
const CHECKPOINT_PATH = ["PUT", "/v1/runs/RUN/checkpoint"] as const;
const FILE_PATHS = [
  GRADIENTS_PATH,
  CHECKPOINT_PATH,
  ["PUT", "/v1/runs/RUN/variables"],
  ["PUT", "/v1/runs/RUN/weights"],
] as const;
const gradientFile = damagedBytes(fc.constant(GRADIENT_FILE));
const fileBody = fc.tuple(
  fc.constantFrom(...RUNS),
  fc.oneof(
    fc.tuple(fc.constant(GRADIENTS_PATH), gradientFile),
    fc.tuple(fc.constant(CHECKPOINT_PATH), fc.oneof(checkpoint, damagedBytes(checkpoint))),
    fc.tuple(fc.constantFrom(...FILE_PATHS), fc.oneof(checkpoint, gradientFile, anyFile)),
  ),
).map(([run, [[method, path], body]]) => ({
  method: method as string,
  path: path.replace("RUN", run),
  body,
}));

const typed = (
  type: string,
  headers: Readonly<Record<string, string>>,
  body: { readonly length: number },
) => ({
  "Content-Type": type,
  "Content-Length": String(typeof body === "string" ? new TextEncoder().encode(body).length : body.length),
  ...headers,
});

/** A service with two runs, one of them with rounds. After so many requests there is a new one. */
const REQUESTS_MAX = 3000;

class Served {
  #service = startService(SETTINGS);
  #requests = 0;

  async #begin(): Promise<void> {
    if (this.#requests++ % REQUESTS_MAX !== 0) return;
    this.close();
    this.#service = startService(SETTINGS);
    for (const [id, spec] of [["demo", SPEC], ["round", ROUND]] as const) {
      const made = await this.#service.send("POST", "/v1/runs", { body: { ...spec, id } });
      assert.equal(made.status, 201, await made.text());
    }
  }

  async read({ method, path, headers, body }: Sent) {
    await this.#begin();
    const { app, lines } = this.#service;
    lines.length = 0;
    const response = await app.request(path, { method, headers, ...body !== undefined && { body } });
    const text = (await bodyOf(response)).toBase64();
    // What is told of the error is in the log.
    assert.ok(
      response.status < 500 || response.status === 503,
      `${response.status} ${JSON.stringify(lines)}`,
    );
    const { status } = response, said = withoutId(atob(text));
    const shown = [...response.headers].filter(([name]) => name !== "x-request-id");
    if (status < 400) return [status, shown, said];
    throw new StepwellError(codeOf(response, atob(text), method), JSON.stringify([status, shown, said]));
  }

  close(): void {
    this.#service.losses.close();
  }
}

/** All bytes; of a stream of events, which does not end, those that come at once. */
async function bodyOf(response: Response): Promise<Uint8Array> {
  const isStream = response.headers.get("Content-Type") === "text/event-stream";
  if (!isStream || response.body === null) return await response.bytes();
  const reader = response.body.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return value ?? new Uint8Array(0);
}

/** The code of a refusal, which must be as the catalogue says. */
function codeOf({ status, headers }: Response, text: string, method: string): ErrorCode {
  if (method === "HEAD") return "invalid_request";
  assert.equal(headers.get("Content-Type"), "application/problem+json", text);
  assert.ok(text.length <= PROBLEM_BYTES_MAX, `${text.length} bytes`);
  const { code, issues } = JSON.parse(text) as { code: ErrorCode; issues: unknown[] };
  assert.equal(ERRORS[code]?.status, status, text);
  assert.ok(issues.length <= 100, text);
  return code;
}

/** Each request has a name of its own. */
const withoutId = (text: string) => text.replace(/"request_id":"[^"]*"/, "");

const service = {
  open: () => new Served(),
  isRefusal: (error: unknown) => error instanceof StepwellError,
};

export const HTTP_PARSERS: readonly Parser[] = [
  parser({
    name: "paths and queries",
    extremes: repetitions(["/", "a", "%41", "..%2f", "a/", "é", "?", "&", "limit=1&", "="], {
      begins: ["/", "/v1/runs/", "/v1/runs?", "/v1/runs/demo/variables?"],
    }).map((path) => ({ method: "GET", path, headers: {}, body: undefined })),
    inputs: fc.tuple(fc.oneof(operation, path.map((path) => ({ method: "GET", path }))), query).map((
      [{ method, path }, query],
    ): Sent => ({ method, path: path + query, headers: {}, body: undefined })),
    share: 8,
    ...service,
  }),
  parser({
    name: "headers",
    extremes: Object.entries(HEADERS).flatMap(([name, { extremes }]) =>
      extremes.map((text): Sent => ({
        method: "GET",
        path: name === "Last-Event-ID" ? "/v1/runs/demo/events" : "/v1/runs/demo/variables",
        headers: { [name]: sayable(text) },
        body: undefined,
      }))
    ),
    inputs: fc.tuple(operation, headers).map(([{ method, path }, headers]): Sent => ({
      method,
      path,
      headers,
      body: undefined,
    })),
    share: 10,
    ...service,
  }),
  parser({
    name: "JSON requests",
    inputs: fc.tuple(jsonBody, seldomHeaders).map(([{ method, path, body }, headers]): Sent => ({
      method,
      path,
      headers: typed(JSON_TYPE, headers, body),
      body,
    })),
    share: 10,
    ...service,
  }),
  parser({
    name: "safetensors requests",
    inputs: fc.tuple(fileBody, seldomHeaders).map(([{ method, path, body }, headers]): Sent => ({
      method,
      path,
      headers: typed(FILE_TYPE, headers, body),
      body,
    })),
    share: 6,
    ...service,
  }),
];
