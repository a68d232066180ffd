/** DELETE /v1/optimizers/{class_name}: deletes a registered optimizer. */
import type { Register } from "./http/context.ts";
import { ANSWER_HEADERS, answers, createRoute, mount, NoQuery, z } from "./contract/operation.ts";
import { OptimizerName } from "./contract/optimizer_schemas.ts";

export const route = createRoute({
  method: "delete",
  path: "/v1/optimizers/{class_name}",
  operationId: "delete_optimizer",
  "x-required-scope": "admin",
  tags: ["optimizers"],
  summary: "Delete an optimizer",
  description: "Forgets an optimizer that was registered, unless a run has it.",
  request: { params: z.strictObject({ class_name: OptimizerName }), query: NoQuery },
  responses: answers({ 204: { description: "The optimizer is no more.", headers: ANSWER_HEADERS } }, [
    "unknown_optimizer",
    "optimizer_in_use",
    "shutting_down",
    "storage_full",
    "storage_failed",
  ]),
});

export const register: Register = (app, { registry }) =>
  mount(app, route, async (c) => {
    await registry.optimizers.remove(c.req.valid("param").class_name);
    return c.body(null, 204);
  });
