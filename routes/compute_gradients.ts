/** POST /v1/runs/{run}/compute-gradients: computes a loss and its gradients; changes nothing. */
import type { Gradient } from "../src/autodiff/losses.ts";
import { type JsonPieces, plainJson, recordJson, tensorJson } from "../src/wire/json_writer.ts";
import type { WritableTensor } from "../src/wire/safetensors_writer.ts";
import { answerTensors, sayable } from "./http/answer.ts";
import { receiveJson } from "./http/receive_body.ts";
import type { Register } from "./http/context.ts";
import {
  compileFor,
  differentiate,
  LOSS_BODY,
  LOSS_ERRORS,
  LOSS_FIELDS,
} from "./contributions/loss_gradients.ts";
import { negotiate } from "./http/negotiate.ts";
import {
  answers,
  BODY_ERRORS,
  createRoute,
  jsonBody,
  mount,
  NoQuery,
  RunParams,
  tensors,
  z,
} from "./contract/operation.ts";
import { Gradient as GradientSchema, Iterations, Norm } from "./contract/tensor_schemas.ts";

const LossRequest = z.strictObject(LOSS_FIELDS).openapi("LossRequest", {
  description: "A loss, and by which variables to differentiate it.",
});

const ComputedGradients = z.object({
  loss: Norm.openapi({ description: "The loss; the sum of its elements.", example: 0.5 }),
  base_iteration: Iterations.openapi({ description: "Steps applied when it was evaluated.", example: 3 }),
  gradients: z.record(z.string(), GradientSchema).openapi({
    description: "By the variable's name; null where the loss does not depend on it.",
    example: { w: [[0.5, -0.25]], b: null },
  }),
}).openapi("ComputedGradients", { description: "Gradients as `POST …/gradients` takes them." });

export const route = createRoute({
  method: "post",
  path: "/v1/runs/{run}/compute-gradients",
  operationId: "compute_gradients",
  "x-required-scope": "contribute",
  tags: ["steps"],
  summary: "Differentiate a loss",
  description:
    "Keras' `compute_gradients`: evaluates and differentiates a loss with the run's variables as they are; " +
    "changes nothing. The answer, in JSON or safetensors, is a body for `POST …/gradients`: as it is, or after you have " +
    "processed the gradients.",
  request: { params: RunParams, query: NoQuery, body: jsonBody(LossRequest, "The loss.") },
  responses: answers({ 200: tensors("The loss and its gradients.", ComputedGradients) }, [
    ...BODY_ERRORS,
    ...LOSS_ERRORS,
    "not_acceptable",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, async (c) => {
    const run = await services.registry.open(c.req.valid("param").run);
    const type = negotiate(c);
    using received = await receiveJson(c, services, LossRequest, LOSS_BODY);
    const compiled = compileFor(services, run, received.value);
    using _place = services.losses.acquire(compiled);
    const { loss, gradients, absent, iterations, version } = await differentiate(services, run, compiled);
    return await answerTensors(c, services, {
      type,
      run: { version },
      source: { tensors: gradients.flatMap(partsOf) },
      figures: { loss: sayable(loss), base_iteration: iterations },
      json: () =>
        recordJson([
          ["loss", plainJson(sayable(loss))],
          ["base_iteration", plainJson(iterations)],
          [
            "gradients",
            recordJson([
              ...gradients.map((gradient) => [gradient.name, jsonOf(gradient)] as const),
              ...absent.map((name) => [name, plainJson(null)] as const),
            ]),
          ],
        ]),
    });
  });

function jsonOf(gradient: Gradient): JsonPieces {
  const values = tensorJson(gradient.values, gradient.shape);
  return "indices" in gradient
    ? recordJson([["indices", plainJson([...gradient.indices])], ["values", values]])
    : values;
}

function partsOf(gradient: Gradient): WritableTensor[] {
  if (!("indices" in gradient)) return [gradient];
  const { name, shape, values, indices } = gradient;
  return [
    { name: `${name}#indices`, shape: [indices.length], values: BigInt64Array.from(indices, BigInt) },
    { name: `${name}#values`, shape, values },
  ];
}
