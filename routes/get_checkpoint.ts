/** GET /v1/runs/{run}/checkpoint: the whole run as one file. */
import { answerTensors, answerUnlessFresh } from "./answer.ts";
import type { Register } from "./context.ts";
import { SAFETENSORS_TYPE } from "./negotiate.ts";
import {
  answers,
  createRoute,
  file,
  IF_NONE_MATCH,
  mount,
  NoQuery,
  NOT_MODIFIED,
  RunParams,
} from "./operation.ts";

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}/checkpoint",
  operationId: "get_checkpoint",
  tags: ["checkpoint"],
  summary: "Save the run",
  description:
    "Variables, slots, scalar state, iterations and the spec as one safetensors file, of one version.",
  parameters: [IF_NONE_MATCH],
  request: { params: RunParams, query: NoQuery },
  responses: answers({ 200: file("The run."), 304: NOT_MODIFIED }, ["unknown_run", "out_of_memory"]),
});

export const register: Register = (app, services) =>
  mount(app, route, (c) => {
    const run = services.registry.get(c.req.valid("param").run);
    return answerUnlessFresh(c, { run }, () => {
      const checkpoint = run.checkpoint();
      return answerTensors(c, services, {
        type: SAFETENSORS_TYPE,
        run,
        tensors: checkpoint.tensors,
        figures: checkpoint.metadata,
        json: () => undefined,
        release: () => checkpoint.release(),
      });
    });
  });
