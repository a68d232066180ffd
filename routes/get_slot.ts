/** GET /v1/runs/{run}/slots/{slot}: the values of a slot. */
import { answerTensors, answerUnlessFresh, valuesJson } from "./http/answer.ts";
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
  z,
} from "./contract/operation.ts";
import { Variables } from "./contract/tensor_schemas.ts";

const SlotName = z.string().min(1).max(256).openapi({ description: "The slot's name.", example: "m" });
const Params = z.strictObject({ ...RunParams.shape, slot: SlotName });
const Slot = z.object({ slot: SlotName, ...Variables.shape })
  .openapi("Slot", { description: "Values of a slot at one version, by the variable's name." });

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}/slots/{slot}",
  operationId: "get_slot",
  "x-required-scope": "read",
  tags: ["slots"],
  summary: "Get a slot",
  description: "Keras' `get_slot`, for all variables: the optimizer's companion tensor of each.",
  parameters: [IF_NONE_MATCH],
  request: { params: Params, query: NoQuery },
  responses: answers({ 200: tensors("The values.", Slot), 304: NOT_MODIFIED }, [
    "unknown_run",
    "unknown_slot",
    "not_acceptable",
    "out_of_memory",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, async (c) => {
    const { run: id, slot } = c.req.valid("param");
    const run = await services.registry.open(id);
    const type = negotiate(c);
    return answerUnlessFresh(c, { run, exists: () => run.slotNames().includes(slot) }, () => {
      const tensors = run.readSlot(slot);
      const figures = { slot, iterations: run.iterations, version: run.version };
      const json = () => valuesJson(figures, tensors);
      return answerTensors(c, services, { type, run, source: { tensors }, figures, json });
    });
  });
