/** POST /v1/runs/{run}/minimize: a loss, its gradients, a step. */
import type { Gradient } from "../src/autodiff/losses.ts";
import { StepwellError } from "../src/errors.ts";
import type {
  ContributionAnswer,
  RunSession,
  Staging,
  StepAnswer as Step,
  StepOptions,
} from "../src/run/api.ts";
import { sayable } from "./answer.ts";
import { answerReplayed, answerStep, isPending } from "./answer_step.ts";
import { awaitRound } from "./await_round.ts";
import { receiveJson } from "./body.ts";
import type { AppContext, Register, Services } from "./context.ts";
import { STEP_ERRORS, STEP_FIELDS, STEP_PREFER, stepOptions, StepQuery } from "./contribution.ts";
import { keyedRequest } from "./idempotency.ts";
import { differentiate, type Differentiated, LOSS_ERRORS, LOSS_FIELDS, prepare } from "./loss.ts";
import {
  answers,
  BODY_ERRORS,
  createRoute,
  IDEMPOTENCY_KEY,
  IF_MATCH,
  json,
  jsonBody,
  mount,
  RunParams,
  STATE_HEADERS,
  tensors,
  z,
} from "./operation.ts";
import { preferredRepresentation } from "./prefer.ts";
import { ContributionAnswer as ContributionSchema, StepAnswer } from "./schemas_step.ts";
import { openTurn, type Turn } from "./turn.ts";

const Minimize = z.strictObject({ ...LOSS_FIELDS, ...STEP_FIELDS }).openapi("Minimize", {
  description: "A loss, and what the step with its gradients is to be.",
});

export const route = createRoute({
  method: "post",
  path: "/v1/runs/{run}/minimize",
  operationId: "minimize",
  tags: ["steps"],
  summary: "Minimize a loss",
  description:
    "Keras' `minimize`: evaluates and differentiates a loss with the run's variables as they are, and takes " +
    "its gradients as `POST …/gradients` would. Requests that minimize losses of one run are taken one after the other.",
  parameters: [IF_MATCH, STEP_PREFER, IDEMPOTENCY_KEY],
  request: { params: RunParams, query: StepQuery, body: jsonBody(Minimize, "The loss.") },
  responses: answers({
    200: tensors(
      "What the step did; or what the contribution would have been, when it was not to be taken.",
      z.union([StepAnswer, ContributionSchema]),
    ),
    202: json("The contribution is in the open round.", ContributionSchema, STATE_HEADERS),
  }, [...BODY_ERRORS, ...LOSS_ERRORS, ...STEP_ERRORS]),
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
  readonly isReplayed: boolean;
}

async function contribute(
  c: AppContext,
  services: Services,
  turn: Turn,
  query: z.output<typeof StepQuery>,
): Promise<Contributed> {
  const { run, confirm } = turn;
  const keyed = keyedRequest(c, services);
  const done = keyed && run.replies.begin(keyed.key);
  try {
    const body = await receiveJson(c, services, Minimize);
    const clientId = body.client_id;
    const key = keyed?.use();
    const known = key && run.replies.find(key);
    if (known) return { answer: known, clientId, isReplayed: true };
    checkPayload(run);
    const prepared = prepare(services, run, body);
    const answer = await services.losses.alone(run.id, prepared, async () => {
      // Before the work: while this one waited, the run may have been deleted or moved on.
      confirm();
      const found = await differentiate(services, run, prepared);
      return apply(turn, found, { ...stepOptions(body, query), key });
    });
    return { answer, clientId, isReplayed: false };
  } finally {
    done?.();
  }
}

function apply(
  { run, confirm }: Turn,
  { loss, gradients, absent, iterations }: Differentiated,
  options: StepOptions,
): Step | ContributionAnswer {
  const staging = run.stage("gradients");
  try {
    pour(gradients, absent, staging);
    confirm();
    return run.applyGradients(staging, { ...options, baseIteration: iterations, loss: sayable(loss) });
  } finally {
    staging.release();
  }
}

function checkPayload(run: RunSession): void {
  const { payload } = run.describe().aggregation;
  if (payload === "gradient") return;
  throw new StepwellError(
    "invalid_request",
    `Cannot minimize a loss of the run "${run.id}": its contributions are ${payload}, must be gradients`,
  );
}

function pour(gradients: readonly Gradient[], absent: readonly string[], staging: Staging): void {
  for (const name of absent) staging.none(name);
  for (const gradient of gradients) {
    const { name, shape } = gradient;
    const values = { dtype: "F32", shape } as const;
    if ("indices" in gradient) {
      const { indices } = gradient;
      const sinks = staging.sparse(name, { dtype: "I32", shape: [indices.length] }, values);
      sinks.indices.write(new Uint8Array(indices.buffer));
      sinks.indices.close();
      sinks.values.write(new Uint8Array(gradient.values.buffer));
      sinks.values.close();
    } else {
      const sink = staging.dense(name, values);
      sink.write(new Uint8Array(gradient.values.buffer));
      sink.close();
    }
  }
}
