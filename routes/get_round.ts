/** GET /v1/runs/{run}/rounds/current: the contributions of the open round, and how many are missing. */
import { answerJson } from "./http/answer.ts";
import type { Register } from "./http/context.ts";
import { answers, createRoute, json, mount, NoQuery, RunParams } from "./contract/operation.ts";
import { roundState } from "./contributions/round_state.ts";
import { Round } from "./contract/aggregation_schemas.ts";

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}/rounds/current",
  operationId: "get_round",
  "x-required-scope": "read",
  tags: ["rounds"],
  summary: "Describe the open round",
  description:
    "Who has contributed, in the order in which that was accepted, how many are missing, and until " +
    "when. It has no entity tag: contributions do not change the run's version.",
  request: { params: RunParams, query: NoQuery },
  responses: answers({ 200: json("The open round.", Round) }, ["unknown_run"]),
});

export const register: Register = (app, { registry }) =>
  mount(app, route, async (c) => {
    const { state, contributions } = roundState(await registry.open(c.req.valid("param").run));
    return answerJson(c, { ...state, contributions });
  });
