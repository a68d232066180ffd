/**
 * Borderline numbers at every place of a number that the OpenAPI document and the catalogue list. What float32 cannot
 * hold is refused, an integer is one that float64 can tell from its neighbours, a refusal changes nothing, and whatever
 * is accepted leaves only finite numbers behind.
 */
import assert from "node:assert/strict";
import { z } from "zod";
import { MEMBERS } from "../families/support/members.ts";
import { type Service, startService } from "./support/harness.ts";
import { type Keys, type NumericField, numericFields, withNumber } from "./support/numeric_fields.ts";

const TEXTS = [
  ...[
    "0",
    "-0",
    "1",
    "2",
    "3",
    "-1",
    "0.5",
    "4.9e-324",
    "1e-46",
    "1e-45",
    "1e-40",
    "1.1754942e-38",
    "1.17549435e-38",
  ],
  ...["16777217", "2147483648", "4294967296", "9007199254740991", "9007199254740992", "9007199254740993"],
  ...["3.4e38", "-3.4e38", "3.5e38", "-3.5e38", "1e39", "-1e39", "1e308", "1e999"],
  ...['"NaN"', '"-Infinity"', '"Infinity"', '"1"', '"x"', '""', "true", "[1]", "{}", "null"],
];
const isNumber = (text: string) =>
  Number.isFinite(Number(text)) && !text.startsWith('"') && /\d$/.test(text) || text === "1e999";
const isHeld = (text: string) => Number.isFinite(Math.fround(Number(text)));
const isWord = (text: string) => /^"-?(NaN|Infinity)"$/.test(text);

const { app } = startService();
const { fields, freeForms } = numericFields(app);

/** Bodies that are taken, by operation; each field goes to the first that has its place. */
const VARIABLE = { name: "w", shape: [2] };
const created = (...more: object[]) =>
  more.map((each) => ({ optimizer: "SGD", variables: [VARIABLE], ...each }));
const MEMBER = { class_name: "AdaptiveQuantile", config: {} };
const base64 = { dtype: "float32", shape: [3], base64: "AACAPwAAAEAAAEBA" };
const index = { dtype: "int32", shape: [1], base64: "AQAAAA==" };
const row = { dtype: "float32", shape: [1, 2], base64: "AACAPwAAgD8=" };
const packed = { values: { dtype: "int8", shape: [3], base64: "fwF/" }, scale: [0.5], block: 3 };
const dense = { class_name: "Dense", config: { name: "dense", units: 3, batch_input_shape: [null, 2] } };
const model = { class_name: "Sequential", config: { name: "m", layers: [dense] } };
const losses = [
  { loss: "sum(bias * x)", inputs: { x: [1, 2, 3] } },
  { loss: "sum(bias * x)", inputs: { x: base64 } },
  { loss: "sum(bias * x)", inputs: { x: 2 }, grad_loss: 1 },
  { loss: "bias * 1", grad_loss: [1, 1, 1] },
  { loss: "bias * 1", grad_loss: base64 },
  { model, loss: "mse", inputs: row, targets: { ...base64, shape: [1, 3] } },
  { model, loss: "mse", inputs: [[1, 2]], targets: [[1, 2, 3]] },
];
/** The run's variables, with gradients of ones. */
const VARIABLES = [
  { name: "scale", shape: [], ones: 1 },
  { name: "emb", shape: [4, 2], ones: Array(4).fill([1, 1]) },
  { name: "dense/kernel", shape: [2, 3], ones: Array(2).fill([1, 1, 1]) },
  { name: "dense/bias", shape: [3], ones: [1, 1, 1] },
  { name: "bias", shape: [3], ones: [1, 1, 1] },
];
/** Of the slots of all variables but the last. */
const WEIGHTS = VARIABLES.slice(0, -1).map(({ ones }) => ones);
const BASES: Readonly<Record<string, readonly unknown[]>> = {
  create_run: created(
    {
      aggregation: {
        mode: "round",
        quorum: 2,
        client_clipnorm: 1,
        noise: { stddev: 1, seed: 1 },
      },
    },
    { aggregation: { mode: "buffer", buffer_size: 2, client_clipnorm: MEMBER } },
    { variables: [{ ...VARIABLE, initial: [1, 2] }] },
    { variables: [{ ...VARIABLE, initial: { ...base64, shape: [2], base64: "AACAPwAAAEA=" } }] },
    { variables: [{ ...VARIABLE, initial: 1 }], gradient_transformers: ["Centralize"] },
  ),
  put_variables: [{ variables: { scale: 1 } }, { variables: { bias: [1, 1, 1] } }, {
    variables: { bias: base64 },
  }],
  gather_variables: [{ name: "emb", indices: [1] }],
  apply_gradients: [
    { gradients: { scale: 1 } },
    { gradients: { bias: [1, 1, 1] } },
    { gradients: { bias: base64 } },
    { gradients: { bias: { indices: [1], values: [1] } } },
    { gradients: { emb: { indices: index, values: row } } },
    { gradients: { scale: { indices: 1, values: 1 } } },
    { gradients: { bias: packed } },
    { gradients: { bias: { ...packed, scale: { ...base64, shape: [1], base64: "AACAPw==" } } } },
  ],
  compute_gradients: losses,
  minimize: losses,
  put_weights: [[1, 1, 1], base64].map((last) => ({ weights: [1, ...WEIGHTS, last] })),
  register_optimizer: [{
    class_name: "Mine",
    hyperparameters: { a: { default: 0.5, minimum: 0, maximum: 1 } },
    slots: { m: { initial: 0 } },
    state: { s: { initial: 1 } },
    scalars: ["s = s * a"],
    dense: ["m = m + g", "w = w - s * m"],
  }],
};

/** What the document leaves to families and models. The members of families follow below. */
const FREE: readonly string[] = [
  ...["optimizer.*", "variables.[].initial.*", "variables.[].constraint.*", "gradient_transformers.[].*"],
  ...["aggregation.aggregator.*", "aggregation.staleness_weighting.*", "aggregation.client_clipnorm.*"],
  ...["hyperparameters.*", "config.*", "loss.*", "model.*"],
  ...["groups.[].hyperparameters.*", "groups.[].optimizer.*"],
];

interface Place {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly body?: (text: string) => string;
  readonly kind: NumericField["kind"];
  readonly isPlain: boolean;
}

function placeOf(field: NumericField): Place {
  const { operationId, keys, kind, isPlain, method } = field;
  const path = field.path.replace("{run}", "demo");
  const what = `${operationId} ${keys.join(".")}`;
  if (field.in === "query") {
    return { what, method, path: `${path}?${keys[0]}=`, kind, isPlain };
  }
  const bases = BASES[operationId] ?? [];
  const base = bases.find((each) => withNumber(each, keys, "1", { isThere: true }) !== undefined) ??
    bases.find((each) => withNumber(each, keys, "1") !== undefined);
  assert.ok(base !== undefined, `${what}: give ${operationId} a body that has this place`);
  return { what, method, path, kind, isPlain, body: (text) => withNumber(base, keys, text) as string };
}

/** Where a member of each family stands in a new run. */
const STANDS: Readonly<Record<string, Keys>> = {
  optimizers: ["optimizer"],
  schedules: ["optimizer", "config", "learning_rate"],
  constraints: ["variables", "[]", "constraint"],
  initializers: ["variables", "[]", "initial"],
  aggregators: ["aggregation", "aggregator"],
  staleness_weightings: ["aggregation", "staleness_weighting"],
  clip_norms: ["aggregation", "client_clipnorm"],
  transformers: ["gradient_transformers", "[]"],
};

function* placesOfMembers(): Generator<Place> {
  for (const { folder, member, given } of MEMBERS) {
    const stands = STANDS[folder];
    assert.ok(stands, `${folder}: say where its members stand`);
    const { properties = {} } = z.toJSONSchema(member.config, { io: "input" });
    for (const [key, schema] of Object.entries(properties)) {
      const types = JSON.stringify(schema).match(/"type":"?\[?"?(number|integer)/)?.[1];
      if (types === undefined) continue;
      const [spec] = created({
        optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
        aggregation: { mode: "round", quorum: 20 },
        gradient_transformers: ["Centralize"],
        variables: [{ name: "w", shape: [2, 2] }],
      });
      const { class_name, module } = member;
      const body = (text: string) => {
        const usual = given[key] ?? (schema as { default?: unknown }).default;
        const value = Array.isArray(usual) ? ["\u0001", ...usual.slice(1)] : "\u0001";
        const part = JSON.stringify({ class_name, module, config: { ...given, [key]: value } })
          .replace(JSON.stringify("\u0001"), () => text);
        return withNumber(spec, stands, part) as string;
      };
      const kind = types as Place["kind"];
      yield { what: `${class_name}.${key}`, method: "POST", path: "/v1/runs", body, kind, isPlain: false };
    }
  }
}

/** Numbers that are told, not computed with. */
const TOLD = new Set(["apply_gradients loss"]);

/** The schema of a tensor has scalars and vectors, which these cannot be. */
const NEVER_TAKEN = new Set([
  ...["indices", "values", "scale"].map((part) => `apply_gradients gradients.*.${part}`),
  ...["compute_gradients", "minimize"].flatMap((operation) =>
    ["inputs", "inputs.[]", "targets", "targets.[]"].map((keys) => `${operation} ${keys}`)
  ),
]);

async function startDemo(): Promise<Service> {
  const service = startService();
  const { status } = await service.send("POST", "/v1/runs", {
    body: {
      id: "demo",
      optimizer: { class_name: "SGD", config: { momentum: 0.5 } },
      variables: VARIABLES.map(({ name, shape }) => ({ name, shape })),
      aggregation: { mode: "buffer", buffer_size: 1, aggregator: "WeightedMean" },
    },
  });
  assert.equal(status, 201);
  const stepped = await service.send("POST", "/v1/runs/demo/gradients", {
    body: { gradients: Object.fromEntries(VARIABLES.map(({ name, ones }) => [name, ones])) },
  });
  assert.equal(stepped.status, 200, await stepped.text());
  return service;
}

async function seen(service: Service, id: string): Promise<string> {
  const parts = ["", "/variables", "/weights"].map(async (part) =>
    await (await service.send("GET", `/v1/runs/${id}${part}`)).text()
  );
  return (await Promise.all(parts)).join("\n");
}

/** Sends every text to every place. */
async function check(places: readonly Place[]): Promise<{ accepted: number; refused: number }> {
  const told = async ({ send }: Service) => await (await send("GET", "/v1/runs/demo")).text();
  let service = await startDemo(), before = await told(service);
  let accepted = 0, refused = 0;
  const idle = [];
  for (const place of places) {
    let taken = 0;
    for (const text of TEXTS) {
      const path = place.body ? place.path : place.path + encodeURIComponent(text);
      const response = await service.send(place.method, path, place.body && { body: place.body(text) });
      const answer = await response.text();
      const label = `${place.what} ${text}: ${response.status} ${answer.slice(0, 400)}`;
      assert.ok(response.status < 500, label);
      if (response.status >= 400) {
        assert.equal(await told(service), before, label);
        refused += 1;
        continue;
      }
      accepted += 1;
      taken += 1;
      if (isNumber(text)) {
        if (place.kind === "integer") assert.ok(Number.isSafeInteger(Number(text)), label);
        else if (!TOLD.has(place.what)) assert.ok(isHeld(text), label);
      } else if (place.isPlain && place.body) assert.ok(text === "null", label);
      const id = place.what.startsWith("create_run") || place.path === "/v1/runs"
        ? JSON.parse(answer).id
        : "demo";
      if (id !== undefined && !isWord(text)) {
        assert.ok(!/"-?(NaN|Infinity)"/.test(await seen(service, id)), label);
      }
      if (place.path === "/v1/optimizers") await service.send("DELETE", "/v1/optimizers/Mine");
      const after = await told(service);
      // Numbers that are large, or none, would make later steps overflow.
      if (after !== before && !(Math.abs(Number(text)) < 1e6)) {
        service.losses.close();
        service = await startDemo();
      }
      before = await told(service);
    }
    if (taken === 0) idle.push(place.what);
  }
  service.losses.close();
  // Where nothing is taken, little is tested.
  assert.deepEqual(idle.filter((what) => !NEVER_TAKEN.has(what)), []);
  return { accepted, refused };
}

Deno.test("every number of the document's requests is one that is computed with, or is refused", async () => {
  const { accepted, refused } = await check(fields.map(placeOf));
  assert.ok(
    fields.length > 60 && accepted > 300 && refused > 1000,
    `${fields.length} ${accepted} ${refused}`,
  );
});

Deno.test("every number of the catalogue's configs is one that is computed with, or is refused", async () => {
  const places = [...placesOfMembers()];
  const { accepted, refused } = await check(places);
  assert.ok(
    places.length > 80 && accepted > 300 && refused > 1000,
    `${places.length} ${accepted} ${refused}`,
  );
});

Deno.test("what the document leaves open is known", () => {
  assert.deepEqual(
    [...new Set(freeForms.map(({ keys }) => keys.join(".")))].sort(),
    [...FREE].sort(),
  );
});
