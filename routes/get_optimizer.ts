/** GET /v1/runs/{run}/optimizer: the optimizer in the form that Keras loads. */
import { describeOptimizer } from "./http/describe_run.ts";
import { answerJson, answerUnlessFresh } from "./http/answer.ts";
import type { Register } from "./http/context.ts";
import {
  answers,
  createRoute,
  IF_NONE_MATCH,
  json,
  mount,
  NOT_MODIFIED,
  RunParams,
  STATE_HEADERS,
} from "./contract/operation.ts";
import { Member } from "./contract/tensor_schemas.ts";
import { GroupQuery } from "./contract/group_schemas.ts";

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}/optimizer",
  operationId: "get_optimizer",
  "x-required-scope": "read",
  tags: ["optimizer"],
  summary: "Get the optimizer",
  description:
    "The optimizer in the form in which it was given, as its framework writes it: Keras' `get_config` with its class name.",
  parameters: [IF_NONE_MATCH],
  request: { params: RunParams, query: GroupQuery },
  responses: answers({ 200: json("The optimizer.", Member, STATE_HEADERS), 304: NOT_MODIFIED }, [
    "unknown_run",
    "unknown_group",
  ]),
});

export const register: Register = (app, { registry }) =>
  mount(app, route, async (c) => {
    const { group } = c.req.valid("query");
    const run = await registry.open(c.req.valid("param").run);
    return answerUnlessFresh(c, { run }, () =>
      answerJson(c, describeOptimizer(run.optimizer(group), registry), { run }));
  });
