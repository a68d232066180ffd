/**
 * Schemas of the answers to a contribution: the figures of a step, or of a contribution in an open round.
 */
import { z } from "@hono/zod-openapi";
import { Count, Iterations, Norm, Tensor, Version, Warnings } from "./tensor_schemas.ts";
import { Deadline, GradientNorm, Missing, RoundNumber, Staleness, Weight } from "./aggregation_schemas.ts";

export const StepAnswer = z.object({
  applied: z.boolean().openapi({ description: "Whether the step was applied.", example: true }),
  iterations: Iterations,
  version: Version,
  learning_rate: Norm.openapi({ description: "The learning rate that the step used.", example: 0.1 }),
  groups: z.record(
    z.string(),
    z.object({
      learning_rate: Norm.openapi({ description: "The learning rate that the group used.", example: 0.1 }),
    }),
  ).optional().openapi({
    description: "Figures by group, `default` among them; absent for a run without groups.",
    example: { default: { learning_rate: 0.1 } },
  }),
  gradient_norm: Norm.openapi({
    description: "Root of the sum of squares of all gradients, as they came.",
    example: 1.5,
  }),
  clip_factor: Norm.openapi({
    description: "What global_clipnorm multiplied by; 1: nothing was clipped.",
    example: 1,
  }),
  contributions: Count.openapi({ description: "Contributions in this step.", example: 1 }),
  variables: z.record(
    z.string(),
    z.object({
      gradient_norm: Norm.optional().openapi({
        description: "Norm of this variable's gradient; absent when it had none.",
        example: 1.5,
      }),
      values: Tensor.optional(),
    }),
  ).openapi({
    description: "Figures by variable; `values` where `Prefer: return=representation` asked for them.",
    example: { "dense/kernel": { gradient_norm: 1.5 } },
  }),
  warnings: Warnings,
  round: Count.optional().openapi({
    description: "The round that became this step; absent in mode immediate.",
    example: 3,
  }),
  loss: Norm.optional().openapi({
    description:
      "The loss that was minimized, or that came with the gradients; of several contributions the mean by " +
      "their weights, if each told one.",
    example: 0.5,
  }),
}).openapi("StepAnswer", { description: "What a step did." });

export const ContributionAnswer = z.object({
  applied: z.literal(false).openapi({ description: "No step was made.", example: false }),
  accepted: z.boolean().openapi({
    description: "Whether the round holds it: not after a dry run, nor when `non_finite` skipped it.",
    example: true,
  }),
  round: RoundNumber,
  iterations: Iterations,
  version: Version,
  contributions: Count.openapi({ description: "Contributions in the round by now.", example: 3 }),
  missing: Missing,
  deadline: Deadline,
  staleness: Staleness,
  weight: Weight,
  gradient_norm: GradientNorm,
  clip_factor: Norm.openapi({
    description:
      "What `client_clipnorm`, or the aggregator's bound, multiplies it by; 1: nothing is clipped.",
    example: 1,
  }),
  variables: z.record(
    z.string(),
    z.object({
      gradient_norm: Norm.openapi({
        description: "Norm of this variable's (pseudo-)gradient.",
        example: 1.5,
      }),
    }),
  ).openapi({ description: "Figures by variable.", example: { "dense/kernel": { gradient_norm: 1.5 } } }),
  warnings: Warnings,
  loss: Norm.optional().openapi({
    description: "The loss that was minimized, or that came with the gradients.",
    example: 0.5,
  }),
}).openapi("ContributionAnswer", { description: "What a contribution got that is not a step yet." });
