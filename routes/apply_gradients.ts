/** POST /v1/runs/{run}/gradients: takes a contribution, which is a step or becomes part of one. The main call. */
import type { ContributionAnswer, StepAnswer as Step } from "../src/run/api.ts";
import { gradientFields } from "../src/wire/gradients.ts";
import { answerReplayed, answerStep, isPending } from "./answer_step.ts";
import { awaitRound } from "./await_round.ts";
import { receiveTensors } from "./body.ts";
import type { AppContext, Register, Services } from "./context.ts";
import { STEP_ERRORS, STEP_FIELDS, STEP_PREFER, stepOptions, StepQuery } from "./contribution.ts";
import { keyedRequest } from "./idempotency.ts";
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
} from "./operation.ts";
import { preferredRepresentation } from "./prefer.ts";
import { Gradient, Norm } from "./schemas.ts";
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
  ...STEP_FIELDS,
  loss: Norm.optional().openapi({
    description: "The loss that the gradients are of: told with the step, never used.",
    example: 0.5,
  }),
}).openapi("Gradients");

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
  query: z.output<typeof StepQuery>,
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
    const answer = run.applyGradients(staging, {
      ...stepOptions(fields, query),
      baseIteration: fields.base_iteration,
      loss: fields.loss,
      key,
    });
    return { answer, clientId, isReplayed: false };
  } finally {
    staging.release();
    done?.();
  }
}
