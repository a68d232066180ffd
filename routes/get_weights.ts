/** GET /v1/runs/{run}/weights: Keras' get_weights. */
import type { RunSession } from "../src/run/api/run_session.ts";
import { listJson, plainJson, recordJson, tensorJson } from "../src/wire/json_writer.ts";
import type { WritableTensor } from "../src/wire/safetensors_writer.ts";
import { answerTensors, answerUnlessFresh } from "./http/answer.ts";
import type { Register } from "./http/context.ts";
import { negotiate } from "./http/negotiate.ts";
import {
  answers,
  createRoute,
  IF_NONE_MATCH,
  mount,
  NoQuery,
  NOT_MODIFIED,
  RunParams,
  tensors,
} from "./contract/operation.ts";
import { Weights } from "./contract/tensor_schemas.ts";

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}/weights",
  operationId: "get_weights",
  "x-required-scope": "read",
  tags: ["weights"],
  summary: "Get weights",
  description:
    "Keras' `get_weights`: iterations, scalar state, then slots in the Keras order; nothing before the " +
    "first step. As safetensors, the tensors are named by their places: 0 (I64), 1, 2, …",
  parameters: [IF_NONE_MATCH],
  request: { params: RunParams, query: NoQuery },
  responses: answers({ 200: tensors("The weights.", Weights), 304: NOT_MODIFIED }, [
    "unknown_run",
    "not_acceptable",
    "out_of_memory",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, async (c) => {
    const run = await services.registry.open(c.req.valid("param").run);
    const type = negotiate(c);
    return answerUnlessFresh(c, { run }, () => {
      const { tensors, list } = weightsOf(run);
      const figures = { iterations: run.iterations, version: run.version };
      return answerTensors(c, services, {
        type,
        run,
        source: { tensors },
        figures,
        json: () => recordJson([["weights", listJson(list())]]),
      });
    });
  });

function weightsOf(run: RunSession) {
  const { iterations, tensors } = run.weights();
  if (iterations === null) return { tensors: [], list: () => [] };
  const first: WritableTensor = { name: "0", shape: [], values: BigInt64Array.of(BigInt(iterations)) };
  const rest = tensors.map(({ shape, values }, index) => ({ name: String(index + 1), shape, values }));
  return {
    tensors: [first, ...rest],
    *list() {
      yield plainJson(iterations);
      for (const { values, shape } of tensors) yield tensorJson(values, shape);
    },
  };
}
