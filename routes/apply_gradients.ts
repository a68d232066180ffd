/** POST /v1/runs/{run}/gradients: takes gradients and steps. The main call. */
import type { StepOptions } from "../src/run/api.ts";
import { gradientFields } from "../src/wire/gradients.ts";
import { answerReplayed, answerStep } from "./answer_step.ts";
import { receiveTensors } from "./body.ts";
import type { Register } from "./context.ts";
import { keyedRequest } from "./idempotency.ts";
import { preferredRepresentation } from "./negotiate.ts";
import {
  answers,
  createRoute,
  flag,
  IDEMPOTENCY_KEY,
  IF_MATCH,
  mount,
  PREFER,
  RunParams,
  TENSOR_BODY_ERRORS,
  tensorBody,
  tensors,
  z,
} from "./operation.ts";
import { Gradient, StepAnswer } from "./schemas.ts";
import { openTurn } from "./turn.ts";

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
  client_id: z.string().min(1).max(256).optional().openapi({
    description: "Who computed them.",
    example: "phone-7",
  }),
  weight: z.number().positive().optional().openapi({
    description: "What this contribution weighs, say the number of examples.",
    example: 32,
  }),
  hyperparameters: z.record(z.string(), z.unknown()).optional().openapi({
    description: "Overwritten for this step only.",
    example: { learning_rate: 0.01 },
  }),
}).openapi("Gradients");

const Query = z.strictObject({
  aggregate: flag("false: the caller has aggregated, apply now (`experimental_aggregate_gradients`).", true),
  dry_run: flag("true: say what would happen, change nothing.", false),
});

export const route = createRoute({
  method: "post",
  path: "/v1/runs/{run}/gradients",
  operationId: "apply_gradients",
  tags: ["steps"],
  summary: "Apply gradients",
  description:
    "Keras' `apply_gradients`. In safetensors, `NAME` is dense, `NAME#indices` (I32 or I64) with " +
    "`NAME#values` is sparse, and the other fields stand in `__metadata__`. Values may be F32, F16, BF16, F64, or I8 " +
    "with `NAME#scale` (F32, one for each `block` of them; `block` stands in `__metadata__`, default 64). " +
    "`flat` in `__metadata__`, a JSON array of names or `*`, says which indices count elements rather than rows: a " +
    "dense gradient that is zero elsewhere (top-k). With `Prefer: return=representation` and " +
    "`Accept` for safetensors, the answer is that file with the figures in its `__metadata__`.",
  parameters: [IF_MATCH, PREFER, IDEMPOTENCY_KEY],
  request: {
    params: RunParams,
    query: Query,
    body: tensorBody(Gradients, "Gradients for some or all variables."),
  },
  responses: answers({ 200: tensors("What the step did.", StepAnswer) }, [
    ...TENSOR_BODY_ERRORS,
    "unknown_run",
    "version_mismatch",
    "not_acceptable",
    "index_out_of_range",
    "non_finite_gradient",
    "no_gradients",
    "sparse_with_constraint",
    "sparse_with_noise",
    "invalid_config",
    "unknown_class",
    "out_of_memory",
    "key_in_progress",
    "key_reused",
    "run_damaged",
    "storage_full",
    "storage_failed",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, async (c) => {
    const { run, confirm } = openTurn(c, services, c.req.valid("param").run);
    const representation = preferredRepresentation(c);
    const keyed = keyedRequest(c, services);
    const done = keyed && run.replies.begin(keyed.key);
    const staging = run.stage("gradients");
    try {
      const fields = await receiveTensors(c, services, {
        bytesMax: (format) => run.bodyBytesMax(format),
        target: staging,
        member: "gradients",
        schema: Gradients,
        fields: gradientFields,
      });
      const key = keyed?.use();
      const known = key && run.replies.find(key);
      if (known) return answerReplayed(c, known);
      confirm();
      const step = run.applyGradients(staging, { ...stepOptions(fields, c.req.valid("query")), key });
      return answerStep(c, services, { run, step, representation });
    } finally {
      staging.release();
      done?.();
    }
  });

function stepOptions(fields: z.output<typeof Gradients>, query: z.output<typeof Query>): StepOptions {
  return {
    aggregate: query.aggregate,
    dryRun: query.dry_run,
    baseIteration: fields.base_iteration,
    clientId: fields.client_id,
    weight: fields.weight,
    hyperparameters: fields.hyperparameters,
  };
}
