/** POST /v1/runs/{run}/gradients: takes a contribution, which makes a step or joins a round. The main call. */
import { gradientFields } from "../src/wire/metadata_fields.ts";
import { answerContribution } from "./contributions/contribute.ts";
import { receiveTensors } from "./http/receive_body.ts";
import type { Register } from "./http/context.ts";
import {
  STEP_ERRORS,
  STEP_FIELDS,
  STEP_PREFER,
  stepOptions,
  StepQuery,
} from "./contributions/contribution_fields.ts";
import {
  answers,
  createRoute,
  IDEMPOTENCY_KEY,
  IF_MATCH,
  json,
  mount,
  RunParams,
  STATE_HEADERS,
  TENSOR_BODY_ERRORS,
  tensorBody,
  tensors,
  z,
} from "./contract/operation.ts";
import { Gradient, Norm } from "./contract/tensor_schemas.ts";
import { ContributionAnswer as ContributionSchema, StepAnswer } from "./contract/step_schemas.ts";

export const Gradients = z.strictObject({
  gradients: z.record(z.string(), Gradient).openapi({
    description: "Gradients by the variable's name.",
    example: {
      "dense/kernel": [[0.5, -0.25]],
      emb: { indices: [5, 0], values: [[1, 2], [3, 4]] },
      "top-k": { indices: [70, 3], values: [0.5, -2], flat: true },
      "dense/bias": null,
    },
  }),
  base_iteration: z.int().min(0).optional().openapi({
    description: "The iteration that the gradients were computed at.",
    example: 3,
  }),
  ...STEP_FIELDS,
  loss: Norm.optional().openapi({
    description:
      "The loss that the gradients are of: told with the step. QFedAvg, and a Formula that reads it, weigh by it.",
    example: 0.5,
  }),
}).openapi("Gradients");

export const route = createRoute({
  method: "post",
  path: "/v1/runs/{run}/gradients",
  operationId: "apply_gradients",
  "x-required-scope": "contribute",
  tags: ["steps"],
  summary: "Apply gradients",
  description:
    "Keras' `apply_gradients`. In safetensors, `NAME` is dense, `NAME#indices` (I32 or I64) with " +
    "`NAME#values` is sparse, and the other fields stand in `__metadata__`. Values may be F32, F16, BF16, F64, or I8 " +
    "with `NAME#scale` (F32, one for each `block` of them; `block` stands in `__metadata__`, default 64). " +
    "`flat` in `__metadata__`, a JSON array of names or `*`, says which indices count elements rather than rows: a " +
    "dense gradient that is zero elsewhere (top-k). With `Prefer: return=representation` and " +
    "`Accept` for safetensors, the answer is that file with the figures in its `__metadata__`. In the modes round and " +
    "buffer it is a contribution: 200 when it made the step, 202 when the round waits for others.",
  parameters: [IF_MATCH, STEP_PREFER, IDEMPOTENCY_KEY],
  request: {
    params: RunParams,
    query: StepQuery,
    body: tensorBody(Gradients, "Gradients for some or all variables."),
  },
  responses: answers({
    200: tensors(
      "What the step did; or what the contribution would have been, when it was not to be taken.",
      z.union([StepAnswer, ContributionSchema]),
    ),
    202: json("The contribution is in the open round.", ContributionSchema, STATE_HEADERS),
  }, [
    ...TENSOR_BODY_ERRORS,
    ...STEP_ERRORS,
    "index_out_of_range",
  ]),
});

export const register: Register = (app, services) =>
  mount(
    app,
    route,
    (c) =>
      answerContribution(
        c,
        services,
        { ...c.req.valid("param"), ...c.req.valid("query") },
        async ({ run, change }, applyOnce) => {
          using staging = run.stage("gradients");
          const fields = await receiveTensors(c, services, {
            bytesMax: (format) => run.limits.bodyBytesMax(format),
            headerBytesMax: run.limits.headerBytesMax,
            variableCount: () => run.describe().variables.length,
            target: staging,
            member: "gradients",
            schema: Gradients,
            fields: gradientFields,
          });
          return await applyOnce(fields.client_id, (by) => {
            const options = { ...stepOptions(fields, c.req.valid("query")), loss: fields.loss, ...by };
            return change(() =>
              run.applyGradients(staging, { ...options, baseIteration: fields.base_iteration })
            );
          });
        },
      ),
  );
