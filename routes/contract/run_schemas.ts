/**
 * Schemas of a run in answers, and of the parts that requests share. No request bodies.
 */
import { z } from "@hono/zod-openapi";
import { isShape } from "../../src/tensor.ts";
import { RunId } from "../http/ids.ts";
import { Groups, SparseMode } from "./group_schemas.ts";
import { Aggregation, ClipNorm, OpenRoundNumber, Role } from "./aggregation_schemas.ts";
import { Config, Iterations, Member, NULL, VariableName, Version, Warnings } from "./tensor_schemas.ts";

export const Shape = z.array(z.int().min(0)).max(32).refine(isShape, "Must not have 2^53 elements or more")
  .openapi({ description: "Dimensions from the outermost; [] is a scalar.", example: [4, 3] });

export const NonFinite = z.enum(["reject", "skip", "propagate"]).openapi({
  description:
    "What a gradient with NaN or an infinity does: 422, a 200 that applies nothing, or what Keras does.",
  example: "reject",
});

export const Durability = z.enum(["journal", "snapshot", "none"]).openapi({
  description:
    "What a crash may cost: nothing acknowledged, the changes since the last snapshot, or the run.",
  example: "journal",
});

const Variable = z.object({
  name: VariableName,
  shape: Shape,
  dtype: z.literal("float32").openapi({ description: "Always float32.", example: "float32" }),
  constraint: z.unknown().openapi({
    description: "What holds the values in bounds after each step; null: nothing.",
    example: { class_name: "NonNeg", config: {} },
    anyOf: [{ $ref: "#/components/schemas/Member" }, NULL],
  }),
  role: Role,
}).openapi("Variable", { description: "A variable of a run, without its values." });

/** What was overwritten beyond what constructors give. */
const Attributes = Config.openapi({
  description: "What was overwritten after construction so that no config gives it, such as an epsilon of 0.",
  example: { epsilon: 0 },
});

const RunOptimizer = z.object({ ...Member.shape, attributes: Attributes.optional() }).openapi(
  "RunOptimizer",
  {
    description: "The optimizer in the form that creates a run with the same one.",
    example: { class_name: "SGD", config: { name: "SGD", learning_rate: 0.1 } },
  },
);

export const Run = z.object({
  id: RunId,
  iterations: Iterations,
  version: Version,
  created_at: z.iso.datetime().openapi({
    description: "When the run was created.",
    example: "2025-01-31T12:00:00.000Z",
  }),
  optimizer: RunOptimizer,
  groups: Groups.optional(),
  sparse: SparseMode.optional(),
  variables: z.array(Variable).openapi({
    description: "The variables, in the order in which weights are listed.",
    example: [{ name: "dense/bias", shape: [3], dtype: "float32", constraint: null, role: "optimize" }],
  }),
  slots: z.array(z.string()).openapi({
    description: "The optimizer's slots, in order.",
    example: ["m", "v"],
  }),
  parameters: z.int().openapi({ description: "Elements of all variables.", example: 15 }),
  bytes: z.int().openapi({ description: "Memory of variables and slots.", example: 180 }),
  aggregation: Aggregation,
  clip_norm: ClipNorm,
  round: OpenRoundNumber,
  gradient_transformers: z.array(Member).openapi({
    description: "What gradients go through after clipping, in order.",
    example: [{ class_name: "Scale", config: { factor: 0.5 } }],
  }),
  non_finite: NonFinite,
  durability: Durability,
  journal_bytes: z.int().openapi({
    description: "Bytes that would be replayed after a crash; 0 without a journal.",
    example: 4096,
  }),
  snapshot_version: z.int().nullable().openapi({
    description: "The version that the newest snapshot holds; null without one, or when not known.",
    example: 3,
  }),
  warnings: Warnings,
}).openapi("Run", { description: "A training run, without its values." });
