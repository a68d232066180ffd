/** POST /v1/runs/{run}/gradients: takes a contribution, which is a step or becomes part of one. The main call. */
import type { ContributionAnswer, StepAnswer as Step, StepOptions } from "../src/run/api.ts";
import { gradientFields } from "../src/wire/gradients.ts";
import { answerReplayed, answerStep, isPending } from "./answer_step.ts";
import { awaitRound } from "./await_round.ts";
import { receiveTensors } from "./body.ts";
import type { AppContext, Register, Services } from "./context.ts";
import { keyedRequest } from "./idempotency.ts";
import {
  answers,
  createRoute,
  flag,
  IDEMPOTENCY_KEY,
  IF_MATCH,
  json,
  mount,
  requestHeader,
  RunParams,
  STATE_HEADERS,
  TENSOR_BODY_ERRORS,
  tensorBody,
  tensors,
  z,
} from "./operation.ts";
import { preferredRepresentation } from "./prefer.ts";
import { Gradient } from "./schemas.ts";
import { ClientId } from "./schemas_aggregation.ts";
import { ContributionAnswer as ContributionSchema, StepAnswer } from "./schemas_step.ts";
import { openTurn, type Turn } from "./turn.ts";

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
  client_id: ClientId.optional(),
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

const PREFER = requestHeader(
  "Prefer",
  "`return=representation`: the answer to a step carries the new values. `wait=SECONDS`: where the round is open " +
    "still, the answer waits for its step.",
  "wait=30, return=representation",
);

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
    "`Accept` for safetensors, the answer is that file with the figures in its `__metadata__`. In the modes round and " +
    "buffer it is a contribution: 200 when it made the step, 202 when the round waits for others.",
  parameters: [IF_MATCH, PREFER, IDEMPOTENCY_KEY],
  request: {
    params: RunParams,
    query: Query,
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
    "unknown_run",
    "run_replaced",
    "version_mismatch",
    "not_acceptable",
    "contribution_repeated",
    "too_stale",
    "round_dropped",
    "contribution_withdrawn",
    "index_out_of_range",
    "non_finite_gradient",
    "no_gradients",
    "sparse_with_constraint",
    "sparse_with_aggregator",
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
    const turn = openTurn(c, services, c.req.valid("param").run);
    const representation = preferredRepresentation(c);
    const { answer, clientId, isReplayed } = await contribute(c, services, turn, c.req.valid("query"));
    const { run } = turn;
    const made = isPending(answer)
      ? await awaitRound(c, services, { run, answer, clientId, isReplayed })
      : undefined;
    const step = made ?? answer;
    return isReplayed ? answerReplayed(c, step) : answerStep(c, services, { run, step, representation });
  });

interface Contributed {
  readonly answer: Step | ContributionAnswer;
  readonly clientId: string | undefined;
  /** Whether the same request was answered before. */
  readonly isReplayed: boolean;
}

/** When it resolves, who goes on to wait holds no memory, no place and no key: a retry may take over. */
async function contribute(
  c: AppContext,
  services: Services,
  { run, confirm }: Turn,
  query: z.output<typeof Query>,
): Promise<Contributed> {
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
    const clientId = fields.client_id;
    const key = keyed?.use();
    const known = key && run.replies.find(key);
    if (known) return { answer: known, clientId, isReplayed: true };
    confirm();
    const answer = run.applyGradients(staging, { ...stepOptions(fields, query), key });
    return { answer, clientId, isReplayed: false };
  } finally {
    staging.release();
    done?.();
  }
}

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
