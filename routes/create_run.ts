/** POST /v1/runs: creates a run. */
import { receiveJson } from "./http/receive_body.ts";
import { membersOf, TENSOR } from "../src/wire/json_limits.ts";
import { assertAnyRun, assertRun } from "./http/access.ts";
import type { Creation, RunRegistry } from "../src/run/api/run_registry.ts";
import { answerRun } from "./http/answer_run.ts";
import type { AppContext, Register } from "./http/context.ts";
import { outsidePath } from "./http/path_prefix.ts";
import { keyedRequest, sayReplayed } from "./http/idempotency.ts";
import { RunId } from "./http/ids.ts";
import {
  answers,
  BODY_ERRORS,
  CREATED_HEADERS,
  createRoute,
  IDEMPOTENCY_KEY,
  json,
  jsonBody,
  mount,
  NoQuery,
  z,
} from "./contract/operation.ts";
import { Initial, MemberRequest, NULL, OptimizerRequest, VariableName } from "./contract/tensor_schemas.ts";
import { GroupsRequest, SparseMode } from "./contract/group_schemas.ts";
import { AggregationRequest, Role } from "./contract/aggregation_schemas.ts";
import { Durability, NonFinite, Run, Shape } from "./contract/run_schemas.ts";

const VariableRequest = z.strictObject({
  name: VariableName,
  shape: Shape,
  dtype: z.literal("float32").optional().openapi({
    description: "Always float32, as descriptions of runs say.",
    example: "float32",
  }),
  initial: Initial.optional(),
  constraint: z.unknown().optional().openapi({
    description: "What holds the values in bounds after each step; null or absent: nothing.",
    example: { class_name: "MaxNorm", config: { max_value: 2, axis: 0 } },
    anyOf: [{ $ref: "#/components/schemas/MemberRequest" }, NULL],
  }),
  role: Role.optional(),
}).openapi("VariableRequest");

const VARIABLES_MAX = 100_000;

export const CreateRun = z.strictObject({
  id: RunId.optional(),
  optimizer: OptimizerRequest,
  groups: GroupsRequest.optional(),
  sparse: SparseMode.optional(),
  variables: z.array(VariableRequest).min(1).max(VARIABLES_MAX).openapi({
    description: "The variables, in the order in which weights are listed.",
    example: [{ name: "dense/bias", shape: [3] }],
  }),
  aggregation: AggregationRequest.optional(),
  gradient_transformers: z.array(MemberRequest).max(64).optional().openapi({
    description: "What gradients go through after clipping, in order.",
    example: [{ class_name: "Scale", config: { factor: 0.5 } }],
  }),
  non_finite: NonFinite.optional(),
  durability: Durability.optional(),
}).openapi("CreateRun", {
  example: {
    id: "demo",
    optimizer: { class_name: "SGD", config: { learning_rate: 0.1 } },
    variables: [
      { name: "dense/kernel", shape: [4, 3], initial: { class_name: "GlorotUniform", config: { seed: 7 } } },
      { name: "dense/bias", shape: [3], initial: [0, 0, 0] },
    ],
  },
});

export const route = createRoute({
  method: "post",
  path: "/v1/runs",
  operationId: "create_run",
  "x-required-scope": "write",
  tags: ["runs"],
  summary: "Create a run",
  description:
    "Makes a training run: its variables with their first values, and its optimizer. Slots are made with it. The token " +
    "must have the run's id among its runs; without an id, all runs.",
  parameters: [IDEMPOTENCY_KEY],
  request: { query: NoQuery, body: jsonBody(CreateRun, "What the run is made of.") },
  responses: answers({ 201: json("The run.", Run, CREATED_HEADERS) }, [
    ...BODY_ERRORS,
    "run_exists",
    "unknown_class",
    "invalid_config",
    "shape_mismatch",
    "invalid_number",
    "run_too_large",
    "too_many_runs",
    "out_of_memory",
    "key_in_progress",
    "key_reused",
    "storage_full",
    "storage_failed",
  ]),
});

const BODY = {
  // 100,000 variables, each with a name, a shape and members of families.
  plainBytesMax: 32 << 20,
  valuesMax: 2_000_000,
  list: { name: "variables", element: VariableRequest, lengthMax: VARIABLES_MAX },
  places: membersOf({ variables: { each: membersOf({ initial: TENSOR }) } }),
};

export const register: Register = (app, services) => {
  const outside = outsidePath(services.settings);
  mount(app, route, async (c) => {
    const { registry } = services;
    const keyed = keyedRequest(c, services);
    using _key = keyed && services.creations.acquire(keyed.key);
    using body = await receiveJson(c, services, CreateRun, BODY);
    const spec = body.value;
    if (spec.id === undefined) assertAnyRun(c);
    else assertRun(c, spec.id);
    const key = keyed?.use();
    const known = key && await registry.creation(key);
    if (known) {
      c.header("Location", outside(c, `/v1/runs/${known.id}`));
      return await answerKnown(c, known, registry);
    }
    const run = await registry.create(spec, key);
    c.header("Location", outside(c, `/v1/runs/${run.id}`));
    return await answerRun(c, run.describe(), registry, { status: 201, run });
  });
};

/** The first answer to this request. A long one was not kept: then the current description of the run. */
async function answerKnown(
  c: AppContext,
  { id, answer }: Creation,
  registry: RunRegistry,
): Promise<Response> {
  sayReplayed(c);
  const run = answer === null ? (await registry.open(id)).describe() : JSON.parse(answer);
  return await answerRun(c, run, registry, { status: 201, run });
}
