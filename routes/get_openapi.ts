/** GET /openapi.json: the OpenAPI 3.1 document of this service. */
import { answerJson } from "./http/answer.ts";
import type { Register } from "./http/context.ts";
import { outsidePath } from "./http/path_prefix.ts";
import { openapi31, servedAt } from "./contract/openapi.ts";
import { createRoute, json, mount, NoQuery, OPEN, openAnswers, z } from "./contract/operation.ts";

const Document = z.record(z.string(), z.unknown()).openapi({
  description: "OpenAPI 3.1.",
  example: { openapi: "3.1.0" },
});

export const route = createRoute({
  method: "get",
  path: "/openapi.json",
  operationId: "get_openapi",
  tags: ["service"],
  summary: "Get this document",
  description: "The OpenAPI 3.1 document of the service. Needs no token.",
  ...OPEN,
  request: { query: NoQuery },
  responses: openAnswers({ 200: json("The document.", Document) }, ["too_many_requests"]),
});

export const register: Register = (app, { settings }) => {
  const outside = outsidePath(settings);
  let document: ReturnType<typeof openapi31> | undefined;
  mount(app, route, (c) => {
    document ??= openapi31(app);
    return answerJson(c, servedAt(document, outside(c, "")));
  });
};
