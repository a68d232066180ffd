/** GET /v1/runs/{run}/variables: the values of all or some variables. */
import { answerUnlessFresh, answerVariables } from "./answer.ts";
import type { Register } from "./context.ts";
import { negotiate } from "./negotiate.ts";
import {
  answers,
  createRoute,
  IF_NONE_MATCH,
  mount,
  NOT_MODIFIED,
  RunParams,
  tensors,
  z,
} from "./operation.ts";
import { VariableName, Variables } from "./schemas.ts";

const Query = z.strictObject({
  name: z.preprocess(
    (value) => typeof value === "string" ? [value] : value,
    z.array(VariableName).max(1000).optional(),
  ).openapi({
    type: "array",
    items: { type: "string" },
    maxItems: 1000,
    description: "Only these variables; repeat it for several.",
    example: ["dense/bias"],
  }),
});

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}/variables",
  operationId: "get_variables",
  tags: ["variables"],
  summary: "Get values",
  description: "One whole version of the values, never half a step. As safetensors they are streamed, with " +
    "`iterations` and `version` in `__metadata__`.",
  parameters: [IF_NONE_MATCH],
  request: { params: RunParams, query: Query },
  responses: answers({ 200: tensors("The values.", Variables), 304: NOT_MODIFIED }, [
    "unknown_run",
    "unknown_variable",
    "not_acceptable",
    "out_of_memory",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, (c) => {
    const run = services.registry.get(c.req.valid("param").run);
    const type = negotiate(c);
    const { name: names = [] } = c.req.valid("query");
    const exists = () => names.every((name) => run.describe().variables.some((each) => each.name === name));
    return answerUnlessFresh(c, { run, exists }, () => {
      const publication = run.publish(names.length > 0 ? names : undefined);
      return answerVariables(c, services, { type, run, publication });
    });
  });
