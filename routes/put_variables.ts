/** PUT /v1/runs/{run}/variables: sets the values of some or all variables. */
import { answerChange, answerChangedBefore, standingOf, valuesOf } from "./http/answer.ts";
import { receiveTensors } from "./http/receive_body.ts";
import { noFields } from "../src/wire/metadata_fields.ts";
import type { Register } from "./http/context.ts";
import { preferredRepresentation } from "./http/prefer.ts";
import {
  answers,
  createRoute,
  IDEMPOTENCY_KEY,
  IF_MATCH,
  mount,
  NoQuery,
  PREFER,
  RunParams,
  TENSOR_BODY_ERRORS,
  tensorBody,
  tensors,
  z,
} from "./contract/operation.ts";
import { Changed, TensorMap } from "./contract/tensor_schemas.ts";
import { checkRun, oneChangeOf } from "./http/checked_run.ts";

const VariablesRequest = z.strictObject({ variables: TensorMap }).openapi("VariablesRequest", {
  description: "Values of some or all variables, each of the variable's own shape.",
});

export const route = createRoute({
  method: "put",
  path: "/v1/runs/{run}/variables",
  operationId: "put_variables",
  "x-required-scope": "write",
  tags: ["variables"],
  summary: "Set values",
  description: "Sets whole variables; the others, slots and iterations stay. All of them are set, or none.",
  parameters: [IF_MATCH, PREFER, IDEMPOTENCY_KEY],
  request: { params: RunParams, query: NoQuery, body: tensorBody(VariablesRequest, "The new values.") },
  responses: answers({ 200: tensors("Where the run stands now.", Changed) }, [
    ...TENSOR_BODY_ERRORS,
    "unknown_run",
    "run_replaced",
    "version_mismatch",
    "key_in_progress",
    "key_reused",
    "storage_full",
    "storage_failed",
    "not_acceptable",
    "out_of_memory",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, async (c) => {
    const { run, change } = await checkRun(c, services, c.req.valid("param").run);
    const representation = preferredRepresentation(c);
    using once = oneChangeOf(run, c, services);
    using target = run.stage("values");
    await receiveTensors(c, services, {
      bytesMax: (format) => run.limits.bodyBytesMax(format),
      headerBytesMax: run.limits.headerBytesMax,
      variableCount: () => run.describe().variables.length,
      target,
      member: "variables",
      schema: VariablesRequest,
      fields: noFields,
    });
    const { key, earlier } = once.use();
    if (earlier) return answerChangedBefore(c, earlier);
    const { made, values } = await change(() => {
      run.setVariables(target, key);
      return { made: standingOf(run), values: representation && valuesOf(run) };
    });
    return answerChange(c, services, { made, representation, values });
  });
