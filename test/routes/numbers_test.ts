/**
 * Borderline numbers in every numeric field of requests. A number that is not finite as a float32 is refused with its
 * path; whatever is accepted leaves only finite numbers behind.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { f32, file, SPEC, startService } from "./support/harness.ts";

/** Numbers as JSON has them. */
const TEXTS = [
  "0",
  "-0",
  "1e-46",
  "1e-45",
  "-1e-45",
  "1e-40",
  "1.1754942e-38",
  "1.17549435e-38",
  "1",
  "0.5",
  "-1",
  "16777217",
  "9007199254740991",
  "9007199254740992",
  "9007199254740993",
  "-9007199254740993",
  "3.4e38",
  "-3.4e38",
  "3.5e38",
  "1e39",
  "-1e39",
  "1e300",
  "1e308",
  "-1e308",
  "1e999",
  "4.9e-324",
  "1e-320",
  '"NaN"',
  '"Infinity"',
  '"-Infinity"',
  '"1"',
  '"x"',
  '""',
  "null",
  "true",
  "[1]",
  "{}",
];

const isHeld = (text: string) => Number.isFinite(Math.fround(Number(text)));

interface Place {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  /** The body with the number at its place. */
  readonly body: (text: string) => string | Uint8Array;
  /** A part of the path of the issue about it. */
  readonly at: string;
  /** The number is not a float32: an index, a count, seconds, or only told. */
  readonly isOther?: boolean;
  /** Tensors may say "Infinity". */
  readonly isTensor?: boolean;
  /** What lacks the field when it is null. */
  readonly holder?: string;
}

const gradients = "/v1/runs/demo/gradients";
const FILE = { bias: f32([3], [1, 1, 1]) };
/** A body with `text` in place of "@". */
const json = (template: object) => (text: string) => JSON.stringify(template).replace('"@"', () => text);
const contributed = (fields: object) => json({ gradients: { bias: [1, 1, 1] }, ...fields });
const created = (fields: object) => json({ ...SPEC, ...fields });
const aggregated = (fields: object) => created({ aggregation: { mode: "round", quorum: 2, ...fields } });
const float64 = (text: string) => new Uint8Array(Float64Array.of(1, Number(text), 1).buffer);
const base64 = (text: string) => ({ dtype: "float64", shape: [3], base64: float64(text).toBase64() });

const post = (
  path: string,
  what: string,
  body: Place["body"],
  at: string,
  more: Partial<Place> = {},
): Place => ({ method: "POST", path, what, body, at, ...more });
const put = (
  path: string,
  what: string,
  body: Place["body"],
  at: string,
  more: Partial<Place> = {},
): Place => ({ ...post(`/v1/runs/demo/${path}`, what, body, at, more), method: "PUT" });

const HYPERS = [
  "learning_rate",
  "beta_1",
  "beta_2",
  "epsilon",
  "clipnorm",
  "clipvalue",
  "global_clipnorm",
  "decay",
];
const PLACES: readonly Place[] = [
  post(gradients, "weight", contributed({ weight: "@" }), "weight"),
  post(gradients, "weight in a file", (text) => file(FILE, { weight: text }), "weight"),
  post(gradients, "base_iteration", contributed({ base_iteration: "@" }), "base_iteration", {
    isOther: true,
  }),
  post(
    gradients,
    "base_iteration in a file",
    (text) => file(FILE, { base_iteration: text }),
    "base_iteration",
    {
      isOther: true,
    },
  ),
  post(gradients, "loss", contributed({ loss: "@" }), "loss", { isOther: true }),
  post(gradients, "loss in a file", (text) => file(FILE, { loss: text }), "loss", { isOther: true }),
  post(gradients, "an element", json({ gradients: { bias: [1, "@", 1] } }), "bias"),
  post(gradients, "a scalar", json({ gradients: { scale: "@" } }), "scale"),
  post(
    gradients,
    "a row",
    json({ gradients: { emb: { indices: [1, 1], values: [[1, "@"], [1, "@"]] } } }),
    "emb",
  ),
  post(gradients, "an index", json({ gradients: { emb: { indices: ["@"], values: [[1, 1]] } } }), "emb", {
    isOther: true,
  }),
  post(gradients, "a float64", (text) => JSON.stringify({ gradients: { bias: base64(text) } }), "bias"),
  post(
    gradients,
    "a scale",
    json({
      gradients: { bias: { values: { dtype: "int8", shape: [3], base64: "fwF/" }, scale: ["@"] } },
    }),
    "bias",
  ),
  ...HYPERS.map((key) =>
    post(gradients, `${key} of a step`, contributed({ hyperparameters: { [key]: "@" } }), key, {
      isOther: false,
    })
  ),
  ...HYPERS.map((key): Place => ({
    what: `${key} of the optimizer`,
    method: "PATCH",
    path: "/v1/runs/demo/optimizer",
    body: json({ config: { [key]: "@" } }),
    at: key,
  })),
  put("variables", "a value", json({ variables: { bias: [1, "@", 1] } }), "bias", { isTensor: true }),
  put("variables", "a float64", (text) => JSON.stringify({ variables: { bias: base64(text) } }), "bias", {
    isTensor: true,
  }),
  put(
    "variables",
    "a float64 in a file",
    (text) => file({ bias: { dtype: "F64", shape: [3], bytes: float64(text) } }),
    "bias",
    { isTensor: true },
  ),
  put("weights", "iterations", json({ weights: ["@"] }), "weights", { isOther: true }),
  post(
    "/v1/runs",
    "an initial value",
    created({ variables: [{ name: "w", shape: [2], initial: "@" }] }),
    "initial",
    {
      isTensor: true,
    },
  ),
  post(
    "/v1/runs",
    "an initial float64",
    (text) => JSON.stringify({ ...SPEC, variables: [{ name: "w", shape: [3], initial: base64(text) }] }),
    "initial",
    {
      isTensor: true,
    },
  ),
  post("/v1/runs", "stddev", aggregated({ noise: { stddev: "@", seed: 1 } }), "stddev", { holder: "noise" }),
  post("/v1/runs", "seed", aggregated({ noise: { stddev: 1, seed: "@" } }), "seed", { isOther: true }),
  post("/v1/runs", "client_clipnorm", aggregated({ client_clipnorm: "@" }), "client_clipnorm"),
  post("/v1/runs", "quorum", json({ ...SPEC, aggregation: { mode: "round", quorum: "@" } }), "quorum", {
    isOther: true,
  }),
  post("/v1/runs", "max_staleness", aggregated({ max_staleness: "@" }), "max_staleness", { isOther: true }),
  post("/v1/runs", "deadline_seconds", aggregated({ deadline_seconds: "@" }), "deadline_seconds", {
    isOther: true,
  }),
  post(
    "/v1/runs",
    "a parameter",
    created({
      gradient_transformers: [{
        class_name: "Formula",
        config: { lines: ["g = g * c"], parameters: { c: "@" } },
      }],
    }),
    "parameters",
  ),
  post(
    "/v1/optimizers",
    "a default",
    json({
      class_name: "Mine",
      hyperparameters: { a: { default: "@" } },
      dense: ["w = w - a * g"],
    }),
    "default",
  ),
  post(
    "/v1/optimizers",
    "a slot",
    json({ class_name: "Mine", slots: { m: { initial: "@" } }, dense: ["m = m + g", "w = w - m"] }),
    "initial",
  ),
];

/** Whether all numbers of the answer's tensors are finite. */
async function isFinite(service: ReturnType<typeof startService>, id: string): Promise<boolean> {
  const all = await Promise.all(
    ["/variables", "/weights"].map(async (part) =>
      await (await service.send("GET", `/v1/runs/${id}${part}`)).text()
    ),
  );
  return !all.some((text) => /NaN|Infinity/.test(text));
}

/** A run whose rounds weigh each contribution, so that a weight counts. */
async function startDemo(mode: "immediate" | "buffer", optimizer = "SGD") {
  const service = startService();
  const aggregation = mode === "immediate"
    ? { mode, aggregator: "WeightedMean" }
    : { mode, buffer_size: 1, aggregator: "WeightedMean" };
  const response = await service.send("POST", "/v1/runs", {
    body: { ...SPEC, optimizer, id: "demo", aggregation },
  });
  assert.equal(response.status, 201, await response.text());
  return service;
}

Deno.test("every numeric field refuses what float32 cannot hold, and what is accepted stays finite", async () => {
  const law = async (mode: "immediate" | "buffer", place: Place, text: string) => {
    // What is no finite float64 says so itself, like the words in JSON.
    if (place.what.includes("float64") && !Number.isFinite(Number(text))) return;
    // Adam has all hyperparameters, but squares gradients: it overflows by itself.
    const service = await startDemo(mode, HYPERS.includes(place.at) ? "Adam" : "SGD");
    const response = await service.send(place.method, place.path, {
      body: place.body(text),
      headers: typeof place.body(text) === "string" ? { "Content-Type": "application/json" } : {},
    });
    const told = await response.text();
    const label = `${mode} ${place.what} ${text}: ${response.status} ${told}`;
    assert.ok([200, 201, 202, 409, 413, 422].includes(response.status), label);
    if (response.status >= 400) {
      const { issues } = JSON.parse(told) as { issues: { path: string }[] };
      assert.ok(
        response.status !== 422 ||
          issues.some(({ path }) =>
            path.includes(place.at) || /^(gradients|hyperparameters)$/.test(path) ||
            (text === "null" && place.holder !== undefined && path.endsWith(place.holder))
          ),
        label,
      );
      assert.ok(await isFinite(service, "demo"), label);
      return;
    }
    const isWord = /^"-?(NaN|Infinity)"$/.test(text);
    if (place.isOther || (place.isTensor && isWord)) return;
    assert.ok(text.startsWith('"') || /^(null|true|\[|\{)/.test(text) || isHeld(text), label);
    // A rule may overflow by itself, as in Keras: a great learning rate, or a great gradient.
    if (!place.what.includes("of a step")) assert.ok(await isFinite(service, "demo"), label);
    service.losses.close();
  };
  for (const place of PLACES) await law("immediate", place, "null");
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("immediate", "buffer"),
      fc.constantFrom(...PLACES),
      fc.constantFrom(...TEXTS),
      law,
    ),
    { numRuns: 500 },
  );
});

Deno.test("a weight is a normal number", async () => {
  const service = await startDemo("buffer");
  for (
    const weight of ["0", "-0", "1e-46", "1e-45", "1e-40", "1.1754942e-38", "3.5e38", "1e39", "1e300", "-1"]
  ) {
    for (const body of [contributed({ weight: "@" })(weight), file(FILE, { weight })]) {
      const headers = typeof body === "string" ? { "Content-Type": "application/json" } : {};
      const response = await service.send("POST", gradients, { body, headers });
      assert.equal(response.status, 422, weight);
      const { issues } = await response.json();
      assert.match(issues[0].path, /weight$/);
    }
  }
  for (const weight of ["1.1754943508222875e-38", "3.4028234663852886e38", "1"]) {
    const response = await service.send("POST", gradients, { body: contributed({ weight: "@" })(weight) });
    assert.equal(response.status, 200, await response.text());
    assert.ok(await isFinite(service, "demo"), weight);
  }
  service.losses.close();
});
