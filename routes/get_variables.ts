/** GET /v1/runs/{run}/variables: the values of all or some variables. */
import { answerUnlessFresh, answerVariables } from "./http/answer.ts";
import type { AppContext, Register, Services } from "./http/context.ts";
import { inSlices } from "../src/slices.ts";
import type { RunSession } from "../src/run/api/run_session.ts";
import { negotiate } from "./http/negotiate.ts";
import {
  answers,
  createRoute,
  IF_NONE_MATCH,
  mount,
  PREFER_WAIT,
  RunParams,
  STATE_HEADERS,
  tensors,
  z,
} from "./contract/operation.ts";
import { VariableName, Variables } from "./contract/tensor_schemas.ts";
import { openWait } from "./http/wait.ts";

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
  after_iteration: z.string().regex(/^\d{1,15}$/, "Must be a whole number").transform(Number).optional()
    .openapi({
      type: "integer",
      minimum: 0,
      description: "Answer 304 unless more iterations than this have been applied.",
      example: 3,
    }),
});

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}/variables",
  operationId: "get_variables",
  "x-required-scope": "read",
  tags: ["variables"],
  summary: "Get values",
  description: "One whole version of the values, never half a step. As safetensors they are streamed, with " +
    "`iterations` and `version` in `__metadata__`. With `after_iteration`, only newer values than those: " +
    "`Prefer: wait` waits for them.",
  parameters: [IF_NONE_MATCH, PREFER_WAIT],
  request: { params: RunParams, query: Query },
  responses: answers({
    200: tensors("The values.", Variables),
    304: {
      description: "The run is still at the version of `If-None-Match`, or not past `after_iteration`.",
      headers: STATE_HEADERS,
    },
  }, [
    "unknown_run",
    "unknown_variable",
    "not_acceptable",
    "out_of_memory",
    "busy",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, async (c) => {
    const { run: id } = c.req.valid("param");
    const { name: names = [], after_iteration: after = -1 } = c.req.valid("query");
    const type = negotiate(c);
    const areKnown = (run: RunSession) => {
      if (names.length === 0) return true;
      const known = new Set(run.describe().variables.map(({ name }) => name));
      return names.every((name) => known.has(name));
    };
    const { registry } = services;
    const first = await registry.open(id);
    if (first.iterations <= after && areKnown(first)) await untilPast(c, services, { run: first, after });
    if (names.length === 0) await inSlices(first.layingOut());
    // A different session if a checkpoint has replaced the run meanwhile.
    const run = await registry.open(id);
    const exists = () => areKnown(run);
    return answerUnlessFresh(c, { run, exists, isOld: run.iterations <= after }, () => {
      const publication = run.publish(names.length > 0 ? names : undefined);
      return answerVariables(c, services, { type, publication });
    });
  });

/** Waits until more than `after` iterations have been applied, at most as long as the caller asks. */
async function untilPast(
  c: AppContext,
  services: Services,
  { run, after }: { readonly run: RunSession; readonly after: number },
): Promise<void> {
  using wait = openWait(c, services);
  await wait?.until(run.events, () => run.iterations > after || undefined);
}
