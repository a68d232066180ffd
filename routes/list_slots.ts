/** GET /v1/runs/{run}/slots: the names of the optimizer's slots. */
import { answerJson, answerUnlessFresh } from "./http/answer.ts";
import type { Register } from "./http/context.ts";
import {
  answers,
  createRoute,
  IF_NONE_MATCH,
  json,
  mount,
  NoQuery,
  NOT_MODIFIED,
  RunParams,
  STATE_HEADERS,
  z,
} from "./contract/operation.ts";

const SlotList = z.object({
  slots: z.array(z.string()).openapi({ description: "In order of creation.", example: ["m", "v"] }),
}).openapi("SlotList", { description: "Names of slots." });

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}/slots",
  operationId: "list_slots",
  "x-required-scope": "read",
  tags: ["slots"],
  summary: "List slots",
  description: "Keras' `get_slot_names`.",
  parameters: [IF_NONE_MATCH],
  request: { params: RunParams, query: NoQuery },
  responses: answers({ 200: json("The names.", SlotList, STATE_HEADERS), 304: NOT_MODIFIED }, [
    "unknown_run",
  ]),
});

export const register: Register = (app, { registry }) =>
  mount(app, route, async (c) => {
    const run = await registry.open(c.req.valid("param").run);
    return answerUnlessFresh(c, { run }, () => answerJson(c, { slots: run.slotNames() }, { run }));
  });
