/** GET /v1/runs/{run}/steps: the latest steps with their figures. */
import { listJson, recordJson } from "../src/wire/json_writer.ts";
import { answerUnlessFresh } from "./http/answer.ts";
import { answerPieces } from "./http/answer_pieces.ts";
import { stepJson } from "./contributions/step_json.ts";
import type { Register } from "./http/context.ts";
import {
  answers,
  createRoute,
  IF_NONE_MATCH,
  json,
  limit,
  mount,
  NOT_MODIFIED,
  RunParams,
  STATE_HEADERS,
  z,
} from "./contract/operation.ts";
import { StepAnswer } from "./contract/step_schemas.ts";

const StepList = z.object({
  steps: z.array(StepAnswer).openapi({ description: "Newest first.", example: [] }),
}).openapi("StepList", { description: "The latest steps." });

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}/steps",
  operationId: "list_steps",
  "x-required-scope": "read",
  tags: ["steps"],
  summary: "List steps",
  description:
    "The latest applied steps with their figures, newest first. The service keeps a bounded number of them.",
  parameters: [IF_NONE_MATCH],
  request: { params: RunParams, query: z.strictObject({ limit: limit("Steps to list.", 20) }) },
  responses: answers({ 200: json("The steps.", StepList, STATE_HEADERS), 304: NOT_MODIFIED }, [
    "unknown_run",
  ]),
});

export const register: Register = (app, { registry }) =>
  mount(app, route, async (c) => {
    const run = await registry.open(c.req.valid("param").run);
    const steps = () => listJson(run.steps(c.req.valid("query").limit).map((step) => stepJson(step)));
    return answerUnlessFresh(c, { run }, () => answerPieces(c, recordJson([["steps", steps()]]), { run }));
  });
