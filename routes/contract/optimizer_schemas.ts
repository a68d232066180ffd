/** Schemas of optimizer definitions, in requests, in answers and in the catalogue. */
import { z } from "@hono/zod-openapi";
import { LINES_MAX } from "../../src/families/mechanism/user_formula.ts";

const NAME = { pattern: "^(?!.*__)[A-Za-z][A-Za-z0-9_]{0,63}$" };

export const OptimizerName = z.string().min(1).max(64).openapi({
  description: "The optimizer's class name.",
  example: "Signum",
  ...NAME,
});

const lines = (description: string, example: readonly string[]) =>
  z.array(z.string()).max(LINES_MAX).openapi({ description, example: [...example] });

const first = (description: string, example: Record<string, { initial: number }>) =>
  z.record(
    z.string(),
    z.object({ initial: z.number().openapi({ description: "What it starts from.", example: 0 }) }),
  ).openapi({ description, example });

const Hyperparameter = z.object({
  default: z.number().openapi({ description: "Its value where a config says nothing.", example: 0.9 }),
  minimum: z.number().nullable().openapi({ description: "The least value; null: any.", example: 0 }),
  maximum: z.number().nullable().openapi({ description: "The greatest value; null: any.", example: 1 }),
  schedule: z.boolean().openapi({
    description: "Whether a schedule may stand in its place.",
    example: false,
  }),
}).openapi({ description: "A number that a config gives." });

const Sparse = z.object({
  all: lines("For all rows, first; without g.", ["velocity = beta * velocity"]),
  rows: lines("For the touched rows.", ["w = w - learning_rate * g"]),
  scalar_rows: lines("For touched rows of one element, where that differs.", []),
  after: lines("For all rows, last; without g.", []),
  scatter: z.boolean().openapi({
    description: "Whether repeated rows are applied one by one.",
    example: false,
  }),
}).openapi({ description: "What happens to sparse gradients." });

const FIELDS = {
  class_name: OptimizerName,
  summary: z.string().max(200).openapi({ description: "What it does, in a sentence.", example: "Signs." }),
  description: z.string().max(2000).openapi({
    description: "Where it comes from.",
    example: "A paper, 2018.",
  }),
  hyperparameters: z.record(z.string(), Hyperparameter).openapi({
    description: "Numbers that a config gives, by name.",
    example: { beta: { default: 0.9, minimum: 0, maximum: 1, schedule: false } },
  }),
  slots: z.record(
    z.string(),
    z.object({
      initial: z.union([z.number(), z.literal("w")]).openapi({
        description: 'What it starts from; "w": the variable as its first gradient finds it.',
        example: 0,
      }),
    }),
  ).openapi({
    description: "Tensors in the shape of each variable.",
    example: { velocity: { initial: 0 } },
  }),
  slot_order: z.enum(["slot", "variable"]).openapi({
    description: "Whether weights are listed slot after slot or variable after variable.",
    example: "slot",
  }),
  state: first("Numbers that live as long as the run.", {}),
  doubles: lines("Numbers of the step, computed in float64 and rounded once.", ["rest = 1 - beta"]),
  scalars: lines("Numbers of the step.", ["alpha = learning_rate / (1 - beta ^ T)"]),
  dense: lines("What happens to each element.", ["w = w - learning_rate * g"]),
  sparse_as_dense: z.boolean().openapi({
    description: "Whether a sparse gradient is a dense one with zeros in all other rows; not with sparse.",
    example: false,
  }),
};

/** A complete definition. */
export const OptimizerDefinition = z.object({
  ...FIELDS,
  sparse: Sparse.nullable().openapi({
    description: "What happens to sparse gradients; null: the dense lines run on the touched rows.",
  }),
}).openapi("OptimizerDefinition", { description: "An optimizer as formulas." });

const { class_name, dense, ...optional } = FIELDS;

/** src/families/optimizers/custom checks it and reports lines and columns. */
export const OptimizerDefinitionRequest = z.strictObject({
  class_name,
  ...z.strictObject(optional).partial().shape,
  hyperparameters: z.record(z.string(), Hyperparameter.partial().required({ default: true }).strict())
    .optional()
    .openapi({
      description: "Numbers that a config gives, by name.",
      example: { learning_rate: { default: 0.01, schedule: true }, beta: { default: 0.9 } },
    }),
  dense,
  sparse: Sparse.partial().required({ rows: true }).strict().nullable().optional().openapi({
    description: "What happens to sparse gradients; absent or null: the dense lines run on the touched rows.",
    example: {
      all: ["velocity = beta * velocity"],
      rows: ["velocity = velocity + (1 - beta) * g", "w = w - learning_rate * sign(velocity)"],
    },
  }),
}).openapi("OptimizerDefinitionRequest", {
  example: {
    class_name: "Signum",
    hyperparameters: {
      learning_rate: { default: 0.01, schedule: true },
      beta: { default: 0.9, minimum: 0, maximum: 1 },
    },
    slots: { velocity: { initial: 0 } },
    dense: ["velocity = beta * velocity + (1 - beta) * g", "w = w - learning_rate * sign(velocity)"],
  },
});
