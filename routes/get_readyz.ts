/** GET /readyz: 200 while the service takes work. */
import { StepwellError } from "../src/errors.ts";
import { answerJson } from "./http/answer.ts";
import type { Register } from "./http/context.ts";
import { createRoute, json, mount, NoQuery, openAnswers, z } from "./contract/operation.ts";

const Readiness = z.object({
  status: z.literal("ready").openapi({ description: "Always ready.", example: "ready" }),
})
  .openapi("Readiness", { description: "The service takes work." });

export const route = createRoute({
  method: "get",
  path: "/readyz",
  operationId: "get_readyz",
  tags: ["service"],
  summary: "Does the service take work?",
  description: "200 from the start until the service was told to stop, then 503. Needs no token.",
  security: [],
  request: { query: NoQuery },
  responses: openAnswers({ 200: json("It does.", Readiness) }, ["shutting_down"]),
});

export const register: Register = (app, { stopping }) =>
  mount(app, route, (c) => {
    if (!stopping.aborted) return answerJson(c, { status: "ready" });
    throw new StepwellError("shutting_down", "Cannot take work: the service was told to stop");
  });
