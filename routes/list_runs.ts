/** GET /v1/runs: the open runs, a page at a time. */
import { runJson } from "./http/answer_run.ts";
import { callerOf } from "./http/access.ts";
import { answerPieces } from "./http/answer_pieces.ts";
import type { Register } from "./http/context.ts";
import { answers, createRoute, json, limit, mount, z } from "./contract/operation.ts";
import { Run } from "./contract/run_schemas.ts";
import { listJson, plainJson, recordJson } from "../src/wire/json_writer.ts";

const Query = z.strictObject({
  limit: limit("Runs on a page.", 100),
  cursor: z.string().min(1).max(256).optional().openapi({
    description: "`next_cursor` of the page before.",
    example: "demo",
  }),
});

const RunList = z.object({
  runs: z.array(Run).openapi({ description: "In order of creation.", example: [] }),
  next_cursor: z.string().optional().openapi({
    description: "Where the next page begins; absent on the last.",
    example: "demo",
  }),
}).openapi("RunList", { description: "A page of runs." });

export const route = createRoute({
  method: "get",
  path: "/v1/runs",
  operationId: "list_runs",
  "x-required-scope": "read",
  tags: ["runs"],
  summary: "List runs",
  description:
    "The open runs in order of creation, a page at a time; only those that the token has. A page of runs with long descriptions has fewer than `limit`.",
  request: { query: Query },
  responses: answers({ 200: json("A page of runs.", RunList) }, []),
});

export const register: Register = (app, { registry }) =>
  mount(app, route, async (c) => {
    const { runs: globs } = callerOf(c);
    const { runs, next } = await registry.list({
      ...c.req.valid("query"),
      isListed: (id) => globs.matches(id),
    });
    const described = runs.values().map((run) => runJson(run, registry));
    const more = next === undefined ? [] : [["next_cursor", plainJson(next)] as const];
    return await answerPieces(c, recordJson([["runs", listJson(described)], ...more]));
  });
