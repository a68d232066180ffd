/** PUT /v1/runs/{run}/weights: Keras' set_weights. */
import { answerChange, answerChangedBefore, standingOf } from "./http/answer.ts";
import type { Register } from "./http/context.ts";
import {
  answers,
  createRoute,
  IDEMPOTENCY_KEY,
  IF_MATCH,
  json,
  mount,
  NoQuery,
  RunParams,
  STATE_HEADERS,
  TENSOR_BODY_ERRORS,
  tensorBody,
} from "./contract/operation.ts";
import { Changed, Weights } from "./contract/tensor_schemas.ts";
import { checkRun, oneChangeOf } from "./http/checked_run.ts";
import { receiveWeights } from "./weight_list.ts";

export const route = createRoute({
  method: "put",
  path: "/v1/runs/{run}/weights",
  operationId: "put_weights",
  "x-required-scope": "write",
  tags: ["weights"],
  summary: "Set weights",
  description: "Keras' `set_weights`, with its errors: what `get_weights` gave, in the same order.",
  parameters: [IF_MATCH, IDEMPOTENCY_KEY],
  request: {
    params: RunParams,
    query: NoQuery,
    body: tensorBody(Weights, "The weights, in the Keras order."),
  },
  responses: answers({ 200: json("Where the run stands now.", Changed, STATE_HEADERS) }, [
    ...TENSOR_BODY_ERRORS,
    "unknown_run",
    "run_replaced",
    "version_mismatch",
    "key_in_progress",
    "key_reused",
    "storage_full",
    "storage_failed",
    "invalid_weights",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, async (c) => {
    const { run, change } = await checkRun(c, services, c.req.valid("param").run);
    using once = oneChangeOf(run, c, services);
    const weights = await receiveWeights(c, services, run);
    const { key, earlier } = once.use();
    if (earlier) return answerChangedBefore(c, earlier);
    const made = await change(() => {
      run.setWeights(weights, key);
      return standingOf(run);
    });
    return answerChange(c, services, { made });
  });
