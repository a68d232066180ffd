/** GET /v1/optimizers/{class_name}: an optimizer as formulas. */
import { answerJson } from "./http/answer.ts";
import type { Register } from "./http/context.ts";
import { answers, createRoute, json, mount, z } from "./contract/operation.ts";
import { OptimizerDefinition, OptimizerName } from "./contract/optimizer_schemas.ts";

export const route = createRoute({
  method: "get",
  path: "/v1/optimizers/{class_name}",
  operationId: "get_optimizer_definition",
  "x-required-scope": "read",
  tags: ["optimizers"],
  summary: "Get an optimizer's definition",
  description:
    "The definition as it was registered, with every default filled in. Of an optimizer that is built in, the one " +
    "that its default config brings out; the catalogue has the others.",
  request: {
    params: z.strictObject({ class_name: OptimizerName }),
    query: z.strictObject({
      module: z.string().min(1).max(256).optional().openapi({
        description:
          "The module whose optimizer it is, as the catalogue has it; absent: one that needs none.",
        example: "torch.optim",
      }),
    }),
  },
  responses: answers({ 200: json("The definition.", OptimizerDefinition) }, ["unknown_optimizer"]),
});

export const register: Register = (app, { registry }) =>
  mount(app, route, (c) => {
    const { class_name } = c.req.valid("param"), { module } = c.req.valid("query");
    return answerJson(c, registry.optimizers.definition(class_name, module));
  });
