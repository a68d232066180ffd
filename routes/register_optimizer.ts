/** POST /v1/optimizers: registers an optimizer. */
import { answerJson } from "./http/answer.ts";
import { receiveJson } from "./http/receive_body.ts";
import { outsidePath } from "./http/path_prefix.ts";
import type { Register } from "./http/context.ts";
import { headers } from "./http/headers.ts";
import {
  answers,
  BODY_ERRORS,
  createRoute,
  json,
  jsonBody,
  mount,
  NoQuery,
  z,
} from "./contract/operation.ts";
import { OptimizerDefinition, OptimizerDefinitionRequest } from "./contract/optimizer_schemas.ts";

/** A definition is a small record; this leaves room for white space. */
const BYTES_MAX = 2 ** 16;

const HEADERS = headers("X-Request-Id", "Location");

export const route = createRoute({
  method: "post",
  path: "/v1/optimizers",
  operationId: "register_optimizer",
  "x-required-scope": "admin",
  tags: ["optimizers"],
  summary: "Register an optimizer",
  description:
    "Adds an optimizer that is given as formulas. It is checked, tried out and kept; runs, and the catalogue, then " +
    "have it like those that are built in. The same definition again changes nothing.",
  request: { query: NoQuery, body: jsonBody(OptimizerDefinitionRequest, "The optimizer as formulas.") },
  responses: answers({
    200: json("The very same definition was registered before.", OptimizerDefinition, HEADERS),
    201: json("The definition with every default filled in.", OptimizerDefinition, HEADERS),
  }, [
    ...BODY_ERRORS,
    "invalid_definition",
    "optimizer_exists",
    "too_many_optimizers",
    "out_of_memory",
    "storage_full",
    "storage_failed",
  ]),
});

export const register: Register = (app, services) => {
  const outside = outsidePath(services.settings);
  mount(app, route, async (c) => {
    using body = await receiveJson(c, services, z.unknown(), { bytesMax: BYTES_MAX });
    const { definition, created } = await services.registry.optimizers.register(body.value);
    c.header("Location", outside(c, `/v1/optimizers/${definition.class_name}`));
    return answerJson(c, definition, { status: created ? 201 : 200 });
  });
};
