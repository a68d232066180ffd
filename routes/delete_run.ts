/** DELETE /v1/runs/{run}: deletes a run. */
import type { Register } from "./http/context.ts";
import {
  ANSWER_HEADERS,
  answers,
  createRoute,
  IF_MATCH,
  mount,
  NoQuery,
  RunParams,
} from "./contract/operation.ts";
import { checkRun } from "./http/checked_run.ts";

export const route = createRoute({
  method: "delete",
  path: "/v1/runs/{run}",
  operationId: "delete_run",
  "x-required-scope": "write",
  tags: ["runs"],
  summary: "Delete a run",
  description:
    "Forgets the run, its variables and slots. Readers that are served already get their version whole.",
  parameters: [IF_MATCH],
  request: { params: RunParams, query: NoQuery },
  responses: answers({ 204: { description: "The run is no more.", headers: ANSWER_HEADERS } }, [
    "unknown_run",
    "version_mismatch",
    "shutting_down",
    "busy",
    "storage_full",
    "storage_failed",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, async (c) => {
    const { run: id } = c.req.valid("param");
    // A deletion need not read the run, and a damaged run could not be read.
    if (c.req.header("If-Match") ?? c.req.header("If-None-Match")) {
      (await checkRun(c, services, id)).confirm();
    }
    await services.registry.delete(id);
    return c.body(null, 204);
  });
