/**
 * The common part of the operations that take a loss: the fields of the body, and the gradients computed from it.
 */
import {
  type CompiledLoss,
  type Evaluation,
  type Gradient,
  type LossRequest,
  totalOf,
} from "../../src/autodiff/losses.ts";
import { membersOf, TENSOR } from "../../src/wire/json_limits.ts";
import type { RunSession } from "../../src/run/api/run_session.ts";
import type { ErrorCode } from "../../src/errors.ts";
import type { Services } from "../http/context.ts";
import { z } from "../contract/operation.ts";
import { Tensor, VariableName } from "../contract/tensor_schemas.ts";

export const LOSS_FIELDS = {
  loss: z.union(
    [z.string().min(1), z.record(z.string(), z.unknown())],
    'must be an expression, or a loss as {"class_name", "config"}',
  ).openapi({
    description:
      "An expression over the run's variables and `inputs`; with a `model`, one of Keras' losses, as Keras " +
      "serializes it or by its name. `GET /v1/catalog` has the functions, layers and losses that there are.",
    example: "mean(square(matmul(x, w) + b - y))",
  }),
  model: z.union([z.record(z.string(), z.unknown()), z.string()], "must be an object or its JSON as a text")
    .optional()
    .openapi({
      description:
        "A model as Keras or tfjs writes it (`to_json()`). Its weights are variables of the run: those of the " +
        "layer `dense` are `dense/kernel` and `dense/bias`.",
      example: {
        class_name: "Sequential",
        config: { name: "model", layers: [{ class_name: "Dense", config: { name: "dense", units: 3 } }] },
      },
    }),
  inputs: z.unknown().optional().openapi({
    description:
      "Tensors by the names that the loss has for them. With a `model`, the tensor that goes in, or one for " +
      "each input layer by its name.",
    anyOf: [
      { $ref: "#/components/schemas/Tensor" },
      { type: "object", additionalProperties: { $ref: "#/components/schemas/Tensor" } },
    ],
    example: { x: [[1, 2]], y: [[3]] },
  }),
  targets: Tensor.optional().openapi({ description: "What the `model` should give." }),
  training: z.boolean().optional().openapi({
    description:
      "Of a `model`: whether dropout drops and batch normalization looks at the batch. Default: true.",
    example: true,
  }),
  var_list: z.array(VariableName).min(1).max(10_000).optional().openapi({
    description:
      "The variables to differentiate by; without it, all that the loss names and that are to be trained.",
    example: ["w", "b"],
  }),
  grad_loss: Tensor.optional().openapi({
    description: "What the gradient of the loss begins with, of the loss's shape; without it, ones.",
  }),
};

/** What the body of a loss may hold. A model's topology may have some megabytes. */
export const LOSS_BODY = {
  plainBytesMax: 4 << 20,
  places: membersOf({ inputs: { ...TENSOR, each: TENSOR }, targets: TENSOR, grad_loss: TENSOR }),
};

/** The refusals common to all operations with a loss. */
export const LOSS_ERRORS: readonly ErrorCode[] = [
  "unknown_run",
  "unknown_variable",
  "invalid_loss",
  "loss_too_large",
  "loss_too_slow",
  "shape_mismatch",
  "invalid_number",
  "index_out_of_range",
  "out_of_memory",
  "busy",
];

/** A loss and its gradients at one version of the run. */
export interface Differentiated {
  readonly loss: number;
  /** Includes new values of variables with role "average", as contributions do. */
  readonly gradients: readonly Gradient[];
  /** Requested variables that the loss does not depend on. */
  readonly absent: readonly string[];
  readonly iterations: number;
  readonly version: number;
}

/** Evaluates the loss at the current variables. Throws {@link LOSS_ERRORS}. */
export async function differentiate(
  { losses }: Pick<Services, "losses">,
  run: RunSession,
  compiled: CompiledLoss,
): Promise<Differentiated> {
  const { names, watched } = compiled;
  using publication = run.publish(names);
  const { tensors, iterations, version } = publication;
  const evaluation: Evaluation = await losses.evaluate(compiled, { run: run.id, tensors, iterations });
  const { gradients, updates } = evaluation;
  const found = new Set(gradients.map(({ name }) => name));
  const absent = [...compiled.absent, ...watched.filter((name) => !found.has(name))];
  return { loss: totalOf(evaluation), gradients: [...gradients, ...updates], absent, iterations, version };
}

/** Compiles a loss. This checks everything that needs no values. */
export function compileFor(
  { losses }: Pick<Services, "losses">,
  run: RunSession,
  body: LossRequest,
): CompiledLoss {
  return losses.compile(body, run.describe().variables);
}
