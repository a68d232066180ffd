/** GET /readyz: 200 while the service takes work. */
import { StepwellError } from "../src/errors.ts";
import { answerJson } from "./http/answer.ts";
import type { Register } from "./http/context.ts";
import { createRoute, json, mount, NoQuery, OPEN, openAnswers, z } from "./contract/operation.ts";

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
  description:
    "200 from the start until the service was told to stop, then 503; 503 or 507 with the reason while the storage " +
    "refuses changes. Needs no token.",
  ...OPEN,
  request: { query: NoQuery },
  responses: openAnswers({ 200: json("It does.", Readiness) }, [
    "too_many_requests",
    "shutting_down",
    "storage_failed",
    "storage_full",
  ]),
});

export const register: Register = (app, { stopping, registry }) =>
  mount(app, route, async (c) => {
    if (stopping.aborted) {
      throw new StepwellError("shutting_down", "Cannot take work: the service was told to stop");
    }
    const trouble = await registry.storageTrouble();
    if (trouble) throw trouble;
    return answerJson(c, { status: "ready" });
  });
