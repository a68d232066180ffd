/** GET /v1/runs/{run}/rounds/current: who has contributed to the open round, and what it takes to close it. */
import { answerJson, sayable } from "./answer.ts";
import type { Register } from "./context.ts";
import { answers, createRoute, json, mount, NoQuery, RunParams } from "./operation.ts";
import { Round } from "./schemas_aggregation.ts";

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}/rounds/current",
  operationId: "get_round",
  tags: ["rounds"],
  summary: "Describe the open round",
  description:
    "Who has contributed, in the order in which that was accepted, how many are missing, and until " +
    "when. It has no entity tag: contributions do not change the run's version.",
  request: { params: RunParams, query: NoQuery },
  responses: answers({ 200: json("The open round.", Round) }, ["unknown_run"]),
});

export const register: Register = (app, { registry }) =>
  mount(app, route, (c) => {
    const round = registry.get(c.req.valid("param").run).round();
    const contributions = round.contributions.map((each) => ({
      ...each,
      gradient_norm: sayable(each.gradient_norm),
    }));
    return answerJson(c, { ...round, contributions });
  });
