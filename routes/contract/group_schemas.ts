/** Schemas of a run's groups, in requests and in answers. src/run/spec/groups.ts checks what goes together. */
import { z } from "@hono/zod-openapi";
import { PATTERN_LENGTH_MAX, PATTERNS_MAX } from "../../src/run/api/run_spec.ts";
import { Config, Member, OptimizerRequest } from "./tensor_schemas.ts";

const GroupName = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, "Must be 1 to 64 letters, digits, _, . or -")
  .openapi({ description: "The group's name.", example: "no_decay" });

/** Chooses the group of an optimizer. */
export const GroupQuery = z.strictObject({
  group: GroupName.optional().openapi({
    description: "The group whose optimizer it is; absent: the run's, which is that of the group `default`.",
    example: "no_decay",
  }),
});

export const SparseMode = z.enum(["keras", "lazy", "exact"]).openapi({
  description:
    "What sparse gradients do: what the optimizer's own rule says (keras), the dense rule on the rows that " +
    "came (lazy), or what the dense gradient does that has zeros in all other rows (exact).",
  example: "lazy",
});

const Patterns = z.array(z.string().min(1).max(PATTERN_LENGTH_MAX)).min(1).max(PATTERNS_MAX).openapi({
  description: "Names of variables; `*` stands for any characters, `?` for one.",
  example: ["*/bias", "*norm*"],
});
const OWN =
  "Hyperparameters in place of those of the run's optimizer, which the group follows in all others.";
const EXAMPLE = { name: "no_decay", variables: ["*/bias"], hyperparameters: { weight_decay: 0 } };

const GroupRequest = z.strictObject({
  name: GroupName,
  variables: Patterns,
  hyperparameters: Config.optional().openapi({ description: OWN, example: { weight_decay: 0 } }),
  optimizer: OptimizerRequest.optional(),
  sparse: SparseMode.optional(),
}).openapi("GroupRequest", {
  description:
    "Variables that step with hyperparameters, or with an optimizer, of their own; clips are the run's.",
  example: EXAMPLE,
});

export const GroupsRequest = z.array(GroupRequest).max(64).openapi({
  description: "The first group that fits takes a variable; all others are in the group `default`.",
  example: [EXAMPLE],
});

export const Groups = z.array(
  z.object({
    name: GroupName,
    variables: Patterns,
    hyperparameters: Config.optional().openapi({ description: OWN, example: { weight_decay: 0 } }),
    optimizer: Member.optional(),
    sparse: SparseMode,
  }).openapi("Group", {
    description: "Variables that step with hyperparameters, or with an optimizer, of their own.",
    example: { ...EXAMPLE, sparse: "keras" },
  }),
).openapi({ description: "The groups besides `default`; absent without any.", example: [] });
