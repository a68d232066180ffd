/** Requests that create_run must refuse without creating anything. */
import assert from "node:assert/strict";
import type { ErrorCode } from "../../src/errors.ts";
import { assertProblem, SPEC, startRun, stateOf } from "./support/harness.ts";
import { common, type Rejection, row, STATUSES } from "./support/rejections.ts";
import { asToken, LIMITED, startWithTokens } from "./support/tokens.ts";

const VARIABLE = { name: "w", shape: [2] };
const bad = (
  what: string,
  change: object,
  at: string,
  code: ErrorCode = "invalid_request",
): Rejection => ({
  what,
  code,
  body: { optimizer: "SGD", variables: [VARIABLE], ...change },
  at,
});
const badVariable = (what: string, change: object, at: string, code?: ErrorCode): Rejection =>
  bad(what, { variables: [{ ...VARIABLE, ...change }] }, at, code);

const variables = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `w${i}`, shape: [] }));
const LISTS: readonly Rejection[] = [
  bad(
    "a mistake far down in a long list",
    { variables: [...variables(1500), { name: "x", shape: [-1] }] },
    "variables.1500.shape",
  ),
  bad("too many variables", { variables: Array(100_001).fill(0) }, "variables"),
];

const ROUND = { mode: "round", quorum: 3 };
const badAggregation = (
  what: string,
  aggregation: object,
  at: string,
  code?: ErrorCode,
): Rejection => bad(what, { aggregation }, `aggregation${at && `.${at}`}`, code);
const polynomial = { class_name: "Polynomial", config: { exponent: "x" } };

const AGGREGATIONS: readonly Rejection[] = [
  badAggregation("no mode", {}, "mode"),
  badAggregation("an unknown mode", { mode: "rounds" }, "mode"),
  badAggregation("an unknown field", { ...ROUND, size: 3 }, ""),
  badAggregation("a round without a quorum", { mode: "round" }, "quorum"),
  badAggregation("a buffer without a size", { mode: "buffer" }, "buffer_size"),
  badAggregation("a quorum of 0", { mode: "round", quorum: 0 }, "quorum"),
  badAggregation("half a quorum", { mode: "round", quorum: 0.5 }, "quorum"),
  badAggregation("a quorum beyond all clients", { mode: "round", quorum: 1e9 }, "quorum"),
  badAggregation("a buffer of 0", { mode: "buffer", buffer_size: 0 }, "buffer_size"),
  badAggregation("a minimum above the quorum", { ...ROUND, minimum: 4 }, "minimum"),
  badAggregation("a minimum of 0", { ...ROUND, minimum: 0 }, "minimum"),
  badAggregation("a deadline of 0 seconds", { ...ROUND, deadline_seconds: 0 }, "deadline_seconds"),
  badAggregation("a deadline beyond all timers", { ...ROUND, deadline_seconds: 3e6 }, "deadline_seconds"),
  badAggregation("a quorum of mode immediate", { mode: "immediate", quorum: 3 }, "quorum"),
  badAggregation("a deadline of mode buffer", {
    mode: "buffer",
    buffer_size: 3,
    deadline_seconds: 5,
  }, "deadline_seconds"),
  badAggregation("a minimum of mode buffer", { mode: "buffer", buffer_size: 3, minimum: 3 }, "minimum"),
  badAggregation("a size of mode round", { ...ROUND, buffer_size: 3 }, "buffer_size"),
  badAggregation("an unknown payload", { ...ROUND, payload: "logits" }, "payload"),
  badAggregation("a negative staleness", { ...ROUND, max_staleness: -1 }, "max_staleness"),
  badAggregation("half a staleness", { ...ROUND, max_staleness: 0.5 }, "max_staleness"),
  badAggregation("a clip at 0", { ...ROUND, client_clipnorm: 0 }, "client_clipnorm"),
  badAggregation(
    "a clip that float32 cannot hold",
    { ...ROUND, client_clipnorm: 1e39 },
    "client_clipnorm",
  ),
  badAggregation(
    "a noise that float32 cannot hold",
    { ...ROUND, noise: { stddev: 1e39, seed: 1 } },
    "noise.stddev",
  ),
  badAggregation("partial contributions to a sum", { ...ROUND, partial: true }, "partial"),
  badAggregation("a negative noise", { ...ROUND, noise: { stddev: -1, seed: 1 } }, "noise.stddev"),
  badAggregation("noise without a seed", { ...ROUND, noise: { stddev: 1 } }, "noise.seed"),
  badAggregation("a seed beyond 32 bits", { ...ROUND, noise: { stddev: 1, seed: 2 ** 32 } }, "noise.seed"),
  badAggregation("an unknown field of noise", { ...ROUND, noise: { stddev: 1, seed: 1, mean: 0 } }, "noise"),
  badAggregation("noise of two kinds", { ...ROUND, noise: { stddev: 1, multiplier: 1, seed: 1 } }, "noise"),
  badAggregation("noise of no kind", { ...ROUND, noise: { seed: 1 } }, "noise"),
  badAggregation(
    "a multiple of no bound",
    { ...ROUND, noise: { multiplier: 1, seed: 1 } },
    "noise.multiplier",
  ),
  badAggregation(
    "a negative multiple",
    { ...ROUND, client_clipnorm: 1, noise: { multiplier: -1, seed: 1 } },
    "noise.multiplier",
  ),
  badAggregation(
    "an unknown bound",
    { ...ROUND, client_clipnorm: "Nope" },
    "client_clipnorm",
    "unknown_class",
  ),
  badAggregation(
    "a bound that starts at 0",
    { ...ROUND, client_clipnorm: { class_name: "AdaptiveQuantile", config: { initial_l2_norm_clip: 0 } } },
    "client_clipnorm",
    "invalid_config",
  ),
  badAggregation("noise that is a number", { ...ROUND, noise: 0.5 }, "noise"),
  badAggregation(
    "an unknown aggregator",
    { mode: "immediate", aggregator: "Nope" },
    "aggregator",
    "unknown_class",
  ),
  badAggregation(
    "an unknown weighting",
    { ...ROUND, staleness_weighting: "Nope" },
    "staleness_weighting",
    "unknown_class",
  ),
  badAggregation(
    "an exponent that is none",
    { ...ROUND, staleness_weighting: polynomial },
    "staleness_weighting",
    "invalid_config",
  ),
  badVariable("an unknown role", { role: "frozen" }, "variables.0.role"),
  badVariable(
    "a constraint of an average",
    { role: "average", constraint: "NonNeg" },
    "variables.0.constraint",
  ),
];

const group = (change: object) => ({ groups: [{ name: "own", variables: ["*"], ...change }] });
const GROUPS: readonly Rejection[] = [
  bad("a group without variables", { groups: [{ name: "own" }] }, "groups.0.variables"),
  bad("a group without a pattern", group({ variables: [] }), "groups.0.variables"),
  bad("a group with a space in its name", group({ name: "a b" }), "groups.0.name"),
  bad("a group called default", group({ name: "default" }), "groups.0.name"),
  bad("a group with an unknown field", group({ rate: 1 }), "groups.0"),
  bad("an unknown sparse rule", { sparse: "often" }, "sparse"),
  bad("an unknown sparse rule of a group", group({ sparse: "often" }), "groups.0.sparse"),
  bad(
    "an unknown hyperparameter of a group",
    group({ hyperparameters: { nope: 1 } }),
    "groups.0.hyperparameters.nope",
    "invalid_config",
  ),
  bad(
    "a clip of a group",
    group({ hyperparameters: { global_clipnorm: 1 } }),
    "groups.0.hyperparameters.global_clipnorm",
    "invalid_config",
  ),
  bad("an unknown optimizer of a group", group({ optimizer: "Nope" }), "groups.0.optimizer", "unknown_class"),
  bad(
    "an exclusion that is no list",
    { optimizer: { class_name: "AdamW", config: { exclude_from_weight_decay: "*/bias" } } },
    "optimizer.config.exclude_from_weight_decay",
    "invalid_config",
  ),
  bad(
    "an exclusion without weight decay",
    { optimizer: { class_name: "Adam", config: { exclude_from_weight_decay: ["*"] } } },
    "optimizer.config.exclude_from_weight_decay",
    "invalid_config",
  ),
  bad(
    "an exclusion beside groups",
    { ...group({}), optimizer: { class_name: "AdamW", config: { exclude_from_weight_decay: ["*"] } } },
    "optimizer.config.exclude_from_weight_decay",
  ),
  bad("a group with both", group({ optimizer: "SGD", hyperparameters: {} }), "groups.0.hyperparameters"),
];

const SPECS: readonly Rejection[] = [
  ...common({
    method: "POST",
    path: "/v1/runs",
    takesFiles: false,
    good: { optimizer: "SGD", variables: [VARIABLE] },
    rejections: [],
  }).filter(({ headers = {} }) => !("If-Match" in headers || "If-None-Match" in headers)),
  row("an id of another token", "forbidden", { ...SPEC, id: "demo" }, { headers: asToken("elsewhere") }),
  row("an id that is taken", "run_exists", { ...SPEC, id: "demo" }),
  bad("an id with a slash", { id: "a/b" }, "id"),
  bad("an id that begins with a dot", { id: ".a" }, "id"),
  bad("an id of 129 letters", { id: "a".repeat(129) }, "id"),
  bad("an empty id", { id: "" }, "id"),
  bad("no optimizer", { optimizer: undefined }, "optimizer"),
  bad("an optimizer that is a number", { optimizer: 1 }, "optimizer"),
  bad("an unknown optimizer", { optimizer: "Sgdd" }, "optimizer", "unknown_class"),
  bad(
    "an unknown key of its config",
    { optimizer: { class_name: "SGD", config: { lrr: 1 } } },
    "lrr",
    "invalid_config",
  ),
  bad(
    "a negative clip",
    { optimizer: { class_name: "SGD", config: { clipnorm: -1 } } },
    "clipnorm",
    "invalid_config",
  ),
  bad(
    "an unknown key beside its config",
    { optimizer: { class_name: "SGD", surprise: 1 } },
    "optimizer",
    "invalid_config",
  ),
  bad("no variables", { variables: [] }, "variables"),
  bad("a variable twice", { variables: [VARIABLE, VARIABLE] }, "variables.1.name"),
  badVariable("a name with #", { name: "a#values" }, "variables.0.name"),
  badVariable("the name __metadata__", { name: "__metadata__" }, "variables.0.name"),
  badVariable("an empty name", { name: "" }, "variables.0.name"),
  badVariable("a name of 257 letters", { name: "a".repeat(257) }, "variables.0.name"),
  badVariable("a name with a line break", { name: "a\nb" }, "variables.0.name"),
  badVariable("a negative dimension", { shape: [-1] }, "variables.0.shape.0"),
  badVariable("half a dimension", { shape: [0.5] }, "variables.0.shape.0"),
  badVariable("no shape", { shape: undefined }, "variables.0.shape"),
  badVariable("an unknown key", { trainable: true }, "variables.0"),
  badVariable(
    "first values of another shape",
    { initial: [1, 2, 3] },
    "variables.0.initial",
    "shape_mismatch",
  ),
  badVariable(
    "a first value that is a text",
    { initial: [1, "x"] },
    "variables.0.initial.1",
    "invalid_number",
  ),
  badVariable(
    "an unknown initializer",
    { initial: { class_name: "Nope" } },
    "variables.0.initial",
    "unknown_class",
  ),
  badVariable("an unknown constraint", { constraint: "Nope" }, "variables.0.constraint", "unknown_class"),
  badVariable(
    "a constraint that does not fit",
    { constraint: { class_name: "MaxNorm", config: { axis: 5 } } },
    "constraint",
    "invalid_config",
  ),
  ...LISTS,
  ...AGGREGATIONS,
  bad(
    "an unknown transformer",
    { gradient_transformers: ["Nope"] },
    "gradient_transformers.0",
    "unknown_class",
  ),
  ...GROUPS,
  bad("an unknown policy", { non_finite: "ignore" }, "non_finite"),
  { ...badVariable("more than an arena holds", { shape: [2 ** 31] }, "", "run_too_large"), at: "" },
  { ...badVariable("more than a number holds", { shape: [2 ** 31, 2 ** 31] }, ""), at: "" },
  {
    ...badVariable("more than memory is allowed", { shape: [2 ** 20] }, "", "out_of_memory"),

    at: "",
  },
];

Deno.test(`create_run refuses ${SPECS.length} kinds of bad requests and creates nothing`, async (t) => {
  const service = startWithTokens(LIMITED, { STEPWELL_MEMORY_BYTES_MAX: 2 ** 21 });
  await startRun(service);
  const before = await stateOf(service);
  const figures = service.registry.figures();
  for (const { what, code, body, headers = {}, path = "", at = "" } of SPECS) {
    await t.step(what, async () => {
      const response = await service.send("POST", `/v1/runs${path}`, { body, headers });
      const problem = await assertProblem(response, code, STATUSES[code]);
      assert.ok(
        at === "" || problem.issues.some((issue) => issue.path.includes(at)),
        JSON.stringify(problem),
      );
      assert.equal(response.headers.get("Retry-After"), STATUSES[code] === 503 ? "1" : null);
    });
  }
  // Before a run is refused for lack of memory, idle runs give back their copies for readers.
  const given = { arenas: 0, arenaBytes: 0, publishedBytes: 0 };
  assert.ok(figures.publishedBytes > 0);
  const now = service.registry.figures();
  assert.deepEqual({ ...now, arenas: 0, arenaBytes: 0 }, { ...figures, ...given });
  assert.equal(await stateOf(service), before);
});
