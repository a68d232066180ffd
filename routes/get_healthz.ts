/** GET /healthz: 200 while the process responds. */
import { answerJson } from "./http/answer.ts";
import type { Register } from "./http/context.ts";
import { createRoute, json, mount, NoQuery, OPEN, openAnswers, z } from "./contract/operation.ts";

const Health = z.object({ status: z.literal("ok").openapi({ description: "Always ok.", example: "ok" }) })
  .openapi("Health", { description: "A sign of life." });

export const route = createRoute({
  method: "get",
  path: "/healthz",
  operationId: "get_healthz",
  tags: ["service"],
  summary: "Is the service alive?",
  description: "200 as long as the process answers. Needs no token.",
  ...OPEN,
  request: { query: NoQuery },
  responses: openAnswers({ 200: json("It is.", Health) }, []),
});

export const register: Register = (app) => mount(app, route, (c) => answerJson(c, { status: "ok" }));
