/** GET /v1/runs/{run}: describes a run. */
import { answerRun } from "./http/answer_run.ts";
import { answerUnlessFresh } from "./http/answer.ts";
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
} from "./contract/operation.ts";
import { Run } from "./contract/run_schemas.ts";

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}",
  operationId: "get_run",
  "x-required-scope": "read",
  tags: ["runs"],
  summary: "Describe a run",
  description: "What the run is made of and where it stands; no values.",
  parameters: [IF_NONE_MATCH],
  request: { params: RunParams, query: NoQuery },
  responses: answers({ 200: json("The run.", Run, STATE_HEADERS), 304: NOT_MODIFIED }, ["unknown_run"]),
});

export const register: Register = (app, { registry }) =>
  mount(app, route, async (c) => {
    const run = await registry.open(c.req.valid("param").run);
    return answerUnlessFresh(c, { run }, () => answerRun(c, run.describe(), registry, { run }));
  });
