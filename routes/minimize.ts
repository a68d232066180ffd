/** POST /v1/runs/{run}/minimize: computes the gradients of a loss and contributes them. */
import type { Gradient } from "../src/autodiff/losses.ts";
import { StepwellError } from "../src/errors.ts";
import type { RunSession, Staging } from "../src/run/api/run_session.ts";
import type { ContributionAnswer, StepAnswer as Step, StepOptions } from "../src/run/api/steps.ts";
import { sayable } from "./http/answer.ts";
import { answerContribution } from "./contributions/contribute.ts";
import { receiveJson } from "./http/receive_body.ts";
import type { Register } from "./http/context.ts";
import {
  STEP_ERRORS,
  STEP_FIELDS,
  STEP_PREFER,
  stepOptions,
  StepQuery,
} from "./contributions/contribution_fields.ts";
import {
  compileFor,
  differentiate,
  type Differentiated,
  LOSS_BODY,
  LOSS_ERRORS,
  LOSS_FIELDS,
} from "./contributions/loss_gradients.ts";
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
} from "./contract/operation.ts";
import { ContributionAnswer as ContributionSchema, StepAnswer } from "./contract/step_schemas.ts";
import type { CheckedRun } from "./http/checked_run.ts";

const Minimize = z.strictObject({ ...LOSS_FIELDS, ...STEP_FIELDS }).openapi("Minimize", {
  description: "A loss, and what the step with its gradients is to be.",
});

export const route = createRoute({
  method: "post",
  path: "/v1/runs/{run}/minimize",
  operationId: "minimize",
  "x-required-scope": "contribute",
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
  mount(
    app,
    route,
    (c) =>
      answerContribution(
        c,
        services,
        { ...c.req.valid("param"), ...c.req.valid("query") },
        async (checked, applyOnce) => {
          const { run, confirm } = checked;
          using received = await receiveJson(c, services, Minimize, LOSS_BODY);
          const body = received.value;
          return applyOnce(body.client_id, async (by) => {
            checkPayload(run);
            const compiled = compileFor(services, run, body);
            using _place = await services.losses.acquireAlone(run.id, compiled);
            // Before the work: the run may have been deleted or changed while this request waited.
            confirm();
            const found = await differentiate(services, run, compiled);
            return await apply(checked, found, { ...stepOptions(body, c.req.valid("query")), ...by });
          });
        },
      ),
  );

async function apply(
  { run, change }: CheckedRun,
  { loss, gradients, absent, iterations }: Differentiated,
  options: StepOptions,
): Promise<Step | ContributionAnswer> {
  using staging = run.stage("gradients");
  pour(gradients, absent, staging);
  const stepOptions = { ...options, baseIteration: iterations, loss: sayable(loss) };
  return await change(() => run.applyGradients(staging, stepOptions));
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
