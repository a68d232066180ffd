/** GET /v1/runs/{run}/checkpoint: the whole run as one file. */
import type { Register } from "./http/context.ts";
import { SAFETENSORS_TYPE } from "./http/negotiate.ts";
import {
  answers,
  createRoute,
  file,
  IF_NONE_MATCH,
  mount,
  NoQuery,
  NOT_MODIFIED,
  RunParams,
} from "./contract/operation.ts";
import { etagOf, knownVersions } from "./http/preconditions.ts";

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}/checkpoint",
  operationId: "get_checkpoint",
  "x-required-scope": "read",
  tags: ["checkpoint"],
  summary: "Save the run",
  description:
    "Variables, slots, scalar state, iterations and the spec as one safetensors file, of one version.",
  parameters: [IF_NONE_MATCH],
  request: { params: RunParams, query: NoQuery },
  responses: answers({ 200: file("The run."), 304: NOT_MODIFIED }, ["unknown_run", "out_of_memory"]),
});

export const register: Register = (app, services) =>
  mount(app, route, async (c) => {
    const isKnown = knownVersions(c);
    const { version, file } = await services.registry.checkpoint(c.req.valid("param").run, isKnown);
    c.header("ETag", etagOf({ version }));
    if (!file) return c.body(null, 304);
    c.header("Content-Type", SAFETENSORS_TYPE);
    c.header("Content-Length", String(file.byteLength));
    if (c.req.method !== "HEAD") return c.body(file.body, 200);
    file.release();
    return c.body(null, 200);
  });
