/**
 * Bodies and parts of bodies that several operations share. Bodies of one operation stand in its own file.
 * Requests are strict objects; answers are not, so that a later field breaks no client.
 *
 * Invariant: every field has a description and an example; a test walks the document.
 */
import { z } from "@hono/zod-openapi";
import { type ErrorCode, ERRORS } from "../src/errors.ts";
import { JSON_DTYPES } from "../src/wire/dtypes.ts";
import { BLOCK_DEFAULT } from "../src/wire/packing.ts";

const RUN_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

export const RunId = z.string().regex(
  RUN_ID,
  "Must be 1 to 128 of A-Z a-z 0-9 . _ - and begin with a letter or digit",
)
  .openapi({ description: "The run's id.", example: "demo" });

export const VariableName = z.string().min(1).max(256)
  // deno-lint-ignore no-control-regex
  .regex(/^[^#\u0000-\u001f\u007f]*$/, "Must not hold # or control characters")
  .refine((name) => name !== "__metadata__", "Must not be __metadata__, which safetensors reserves")
  .openapi({ description: "The variable's name.", example: "dense/kernel" });

const TENSOR = { $ref: "#/components/schemas/Tensor" };

/** In words that OpenAPI 3.0 and 3.1 share. */
export const NULL = { enum: [null] };

/** Checked by src/wire while it is read into place, not by zod. */
export const Tensor = z.unknown().openapi("Tensor", {
  description:
    "Nested numbers as the shape says (a bare number for a scalar), with NaN, Infinity and -Infinity " +
    "as strings; or, for a large tensor, its little-endian bytes in base64. Integers are for indices and for the " +
    "`inputs` and `targets` of losses.",
  example: [[0.5, -0.25], ["NaN", 1]],
  oneOf: [
    { type: "number" },
    { type: "string", enum: ["NaN", "Infinity", "-Infinity"] },
    { type: "array", items: TENSOR },
    {
      type: "object",
      additionalProperties: false,
      required: ["dtype", "shape", "base64"],
      properties: {
        dtype: { type: "string", enum: [...JSON_DTYPES.keys()] as string[], example: "float32" },
        shape: { type: "array", items: { type: "integer", minimum: 0 }, example: [2, 2] },
        base64: { type: "string", format: "byte", example: "AAAAPwAAgL4AAMB/AACAPw==" },
      },
    },
  ],
});

const FLAT = {
  type: "boolean" as const,
  default: false,
  description: "true: `indices` count the variable's elements in row-major order, and it is zero elsewhere.",
};
/** Int8 values: element i means values[i] × scale[floor(i / block)]. */
const INT8 = {
  values: {
    type: "object" as const,
    additionalProperties: false,
    required: ["dtype", "shape", "base64"],
    properties: {
      dtype: { type: "string" as const, enum: ["int8"] },
      shape: { type: "array" as const, items: { type: "integer" as const, minimum: 0 }, example: [2, 2] },
      base64: { type: "string" as const, format: "byte", example: "f8AAgQ==" },
    },
  },
  scale: TENSOR,
  block: {
    type: "integer" as const,
    minimum: 1,
    default: BLOCK_DEFAULT,
    description: "How many values, in row-major order, share a scale.",
  },
};

/** As {@link Tensor}; the rows of a sparse gradient and compact forms too. */
export const Gradient = z.unknown().openapi("Gradient", {
  description:
    "Values of the variable's shape, null for no gradient, or rows: `indices` into the first dimension " +
    "(repeated ones add up) and as many `values`. With `flat`, `indices` count elements: a dense gradient that is zero " +
    "elsewhere (top-k). `values` may be int8 with a float32 `scale` for each `block` of them: element i means " +
    "values[i] × scale[floor(i / block)].",
  example: { indices: [5, 0], values: [[1, 2], [3, 4]] },
  anyOf: [
    TENSOR,
    NULL,
    {
      type: "object",
      additionalProperties: false,
      required: ["indices", "values"],
      properties: { indices: TENSOR, values: TENSOR, flat: FLAT },
    },
    {
      type: "object",
      additionalProperties: false,
      required: ["values", "scale"],
      properties: { indices: TENSOR, ...INT8, flat: FLAT },
    },
  ],
});

/** As {@link Tensor}; what makes first values too. */
export const Initial = z.unknown().openapi("Initial", {
  description: "First values: of the variable's shape, one number for all, or an initializer.",
  example: { class_name: "GlorotUniform", config: { seed: 7 } },
  anyOf: [TENSOR, { $ref: "#/components/schemas/MemberRequest" }],
});

export const TensorMap = z.record(VariableName, Tensor).openapi({
  description: "Values by the variable's name.",
  example: { "dense/bias": [0, 0.5, -0.25] },
});

const ClassName = z.string().min(1).max(256)
  .openapi({ description: "The member's name, as Keras writes it.", example: "SGD" });
export const Config = z.record(z.string(), z.unknown())
  .openapi({
    description: "The member's arguments; what is left out has its default.",
    example: { learning_rate: 0.1 },
  });

/** The families check what is in it: they know their members, and say more than a schema could. */
export const MemberRequest = z.union([z.string(), z.record(z.string(), z.unknown())]).openapi(
  "MemberRequest",
  {
    description:
      "A family member as Keras serializes it (module and registered_name are taken, not used), or its name.",
    example: { class_name: "SGD", config: { learning_rate: 0.1 } },
  },
);

export const Member = z.object({ class_name: ClassName, config: Config }).openapi("Member", {
  description: "A family member in the form that Keras loads.",
});

export const Warnings = z.array(z.string()).openapi({
  description: "What was done as Keras does it, though a reader might expect otherwise.",
  example: ["No gradient was given for dense/bias"],
});

export const Count = z.int().min(0);
export const Iterations = Count.openapi({ description: "Steps applied.", example: 3 });
export const Version = Count.openapi({
  description: 'Changes of state; the ETag is `"v<version>"`.',
  example: 3,
});
export const Norm = z.union([z.number(), z.enum(["NaN", "Infinity", "-Infinity"])]);

export const Variables = z.object({ iterations: Iterations, version: Version, variables: TensorMap })
  .openapi("Variables", { description: "Values of variables at one version." });

export const Weights = z.strictObject({
  weights: z.array(Tensor).openapi({
    description:
      "The iteration count, scalar state, then slots in the Keras order; [] before the first step.",
    example: [3, [0, 0.5, -0.25]],
  }),
}).openapi("Weights", { description: "An optimizer's weights, as Keras lists them." });

export const Changed = z.object({ iterations: Iterations, version: Version, variables: TensorMap.optional() })
  .openapi("Changed", {
    description: "Where the run stands, with its values where `Prefer` asked for them.",
  });

const codes = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]];
export const ProblemSchema = z.object({
  type: z.string().openapi({
    description: "Identifies the kind of problem.",
    example: "urn:stepwell:problem:unknown_run",
  }),
  title: z.string().openapi({ description: "The kind of problem in a few words.", example: "No such run" }),
  status: z.int().openapi({ description: "The HTTP status.", example: 404 }),
  detail: z.string().openapi({
    description: "What cannot be done, the state now and the wanted one.",
    example: 'Cannot find run "demo": there are 0 runs',
  }),
  code: z.enum(codes).openapi({ description: "The kind of problem, for programs.", example: "unknown_run" }),
  request_id: z.string().openapi({
    description: "Names this request in the log.",
    example: "2b1ff0c6-5d9e-4c3a-9a53-0e0f6f0a8f11",
  }),
  issues: z.array(z.object({
    path: z.string().openapi({ description: "Where in the request.", example: "variables.0.shape" }),
    message: z.string().openapi({ description: "What is wrong there.", example: "Must be an array" }),
  })).openapi({ description: "Each thing that is wrong with the request.", example: [] }),
}).openapi("Problem", { description: "RFC 9457 problem details." });
