/**
 * The schema of an optimizer as JSON: the form in which users register one and the catalogue shows the built-in ones.
 *
 * Only the form is checked here; custom/check_definition.ts reads the formulas. Invariant: the output of
 * `DefinitionSchema` has every key, in a fixed order, so that equal definitions have equal JSON.
 */
import { z } from "zod";
import { float32 } from "../../../float32.ts";
import { isName, LINES_MAX, NAME_WANTED } from "../../mechanism/user_formula.ts";

export const HYPERPARAMETERS_MAX = 32;
export const SLOTS_MAX = 16;
export const STATE_MAX = 16;
/** The most characters of a definition as JSON: it is stored as one small record. */
export const DEFINITION_LENGTH_MAX = 16_000;

const name = () => z.string().refine(isName, NAME_WANTED);
/** The error for a value of another kind. */
const like = (kind: string, example: unknown) => ({
  error: `must be ${kind} such as ${JSON.stringify(example)}`,
});
const lines = (description: string) =>
  z.array(z.string(), like("a list of lines", ["w = w - learning_rate * g"])).max(LINES_MAX).describe(
    description,
  );
/** Absent and null mean the same. */
const maybe = <T extends z.ZodType>(type: T) => type.nullish().transform((value) => value ?? null);

/** A record of named values, in the order given. zod's own record reports a wrong key without its name. */
const named = <T extends z.ZodType>(value: T, { max, what, example }: {
  readonly max: number;
  readonly what: string;
  readonly example: unknown;
}) =>
  z.record(z.string(), value, like("an object", example))
    .superRefine((record, { addIssue }) => {
      const keys = Object.keys(record);
      for (const key of keys.filter((each) => !isName(each))) {
        addIssue({ code: "custom", path: [key], message: `its name ${NAME_WANTED}` });
      }
      if (keys.length > max) addIssue({ code: "custom", message: `must have at most ${max} ${what}` });
    });

const HYPERPARAMETER = { default: 0.9 };
const Hyperparameter = z.strictObject({
  default: float32().describe("Its value where a config says nothing."),
  minimum: maybe(float32()).describe("The least value that a config may give; null: any."),
  maximum: maybe(float32()).describe("The greatest value that a config may give; null: any."),
  schedule: z.boolean().default(false).describe("Whether a config may give a schedule instead of a number."),
}, like("an object", HYPERPARAMETER)).superRefine(({ default: value, minimum, maximum }, { addIssue }) => {
  if (minimum !== null && maximum !== null && minimum > maximum) {
    addIssue({ code: "custom", path: ["maximum"], message: `must be >= minimum, which is ${minimum}` });
  }
  if (minimum !== null && value < minimum) {
    addIssue({ code: "custom", path: ["default"], message: `must be >= minimum, which is ${minimum}` });
  }
  if (maximum !== null && value > maximum) {
    addIssue({ code: "custom", path: ["default"], message: `must be <= maximum, which is ${maximum}` });
  }
});

const FIRST = { initial: 0 };
const Slot = z.strictObject({
  initial: z.union([float32(), z.literal("w")], {
    error: 'must be a number, or "w": the variable as its first gradient finds it',
  }).describe('What it starts from: a number, or "w": the variable as its first gradient finds it.'),
}, like("an object", FIRST));
const First = z.strictObject(
  { initial: float32().describe("What it starts from.") },
  like("an object", FIRST),
);

const Sparse = z.strictObject({
  all: lines("Over all rows, first; without g.").default([]),
  rows: lines("Over the touched rows.").min(1),
  scalar_rows: lines("Instead of rows where a row is one element; empty: rows hold there too.").default([]),
  after: lines("Over all rows once the touched ones are done; without g.").default([]),
  scatter: z.boolean().default(false)
    .describe(
      "Whether every stored row counts by itself, in order; otherwise repeated rows are summed first.",
    ),
}, like("null or an object", { rows: ["w = w - learning_rate * g"] }));

export const DefinitionSchema = z.strictObject({
  class_name: name().describe("What configs call it; different from all others, whatever the case."),
  summary: z.string().max(200).default("").describe("What it does, in a sentence."),
  description: z.string().max(2000).default("").describe("Where it comes from, and which variant it is."),
  hyperparameters: named(Hyperparameter, {
    max: HYPERPARAMETERS_MAX,
    what: "hyperparameters",
    example: { beta: HYPERPARAMETER },
  }).default({})
    .describe("Numbers that a config gives, in the order of get_config."),
  slots: named(Slot, { max: SLOTS_MAX, what: "slots", example: { m: FIRST } }).default({})
    .describe("Tensors in the shape of each variable, in the order of get_weights."),
  slot_order: z.enum(["slot", "variable"]).default("slot")
    .describe("Whether weights are listed slot after slot or variable after variable."),
  state: named(First, { max: STATE_MAX, what: "numbers", example: { count: FIRST } }).default({}).describe(
    "Numbers that live as long as the run.",
  ),
  doubles: lines(
    "Lines over hyperparameters, t and T that give one number a step, computed in float64 and rounded once.",
  ).default([]),
  scalars: lines("Lines over hyperparameters, doubles, state, t and T that give one number a step.").default(
    [],
  ),
  dense: lines("Lines for each element, over w, g, slots, hyperparameters, state and scalars.").min(1),
  sparse_as_dense: z.boolean().default(false).describe(
    "Whether a sparse gradient is a dense one with zeros in all other rows; not with sparse.",
  ),
  sparse: maybe(Sparse).describe(
    "Lines for sparse gradients; null: the dense lines run on the touched rows.",
  ),
}, like("an object", { class_name: "Mine", dense: ["w = w - 0.01 * g"] }));

/** The keys of the object at `path` in a definition. */
export function keysAt([key]: readonly PropertyKey[]): readonly string[] {
  if (key === "sparse") return Object.keys(Sparse.shape);
  return Object.keys(key === "hyperparameters" ? Hyperparameter.shape : First.shape);
}

/** An optimizer in full. */
export type Definition = z.output<typeof DefinitionSchema>;
