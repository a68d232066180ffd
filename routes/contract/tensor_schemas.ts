/**
 * Schemas of bodies and their parts that several operations share. The body of a single operation is in its own file.
 * Requests are strict objects. Answers are not, so that a later field breaks no client.
 *
 * Invariant: every field has a description and an example; a test walks the document.
 */
import { z } from "@hono/zod-openapi";
import { JSON_DTYPES } from "../../src/wire/dtypes.ts";
import { BLOCK_DEFAULT } from "../../src/wire/packing.ts";

export const VariableName = z.string().min(1).max(256)
  // deno-lint-ignore no-control-regex
  .regex(/^[^#\u0000-\u001f\u007f]*$/, "Must not hold # or control characters")
  .refine((name) => name !== "__metadata__", "Must not be __metadata__, which safetensors reserves")
  .openapi({ description: "The variable's name.", example: "dense/kernel" });

const refer = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const TENSOR = refer("Tensor");

/** The type null in OpenAPI 3.1; openapi.ts translates it for 3.0. */
export const NULL = { type: "null" as const };

/** src/wire checks it while decoding, not zod. */
export const Tensor = z.unknown().openapi("Tensor", {
  description:
    "Nested numbers as the shape says (a bare number for a scalar), with NaN, Infinity and -Infinity " +
    "as strings; or, for a large tensor, its bytes. Integers are for indices and for the `inputs` and `targets` of " +
    "losses.",
  example: [[0.5, -0.25], ["NaN", 1]],
  oneOf: [
    { type: "number" },
    refer("NotFinite"),
    // Not recursive: some generators drop a recursive schema and all schemas that refer to it.
    { type: "array", items: {} },
    refer("PackedTensor"),
  ],
});

const packed = (dtypes: readonly string[], base64: string) => ({
  type: "object" as const,
  additionalProperties: false,
  required: ["dtype", "shape", "base64"],
  properties: {
    dtype: {
      type: "string" as const,
      enum: [...dtypes],
      description: "What the bytes are.",
      example: dtypes[0],
    },
    shape: {
      type: "array" as const,
      items: { type: "integer" as const, minimum: 0 },
      description: "Dimensions from the outermost.",
      example: [2, 2],
    },
    base64: {
      type: "string" as const,
      format: "byte",
      description: "The values in row-major order, little-endian.",
      example: base64,
    },
  },
});

const FLAT = {
  type: "boolean" as const,
  description:
    "true: `indices` count the variable's elements in row-major order, and it is zero elsewhere; default: false.",
  example: true,
};

/** Forms of tensors by their names in the document. Only raw schemas such as {@link Tensor} refer to them. */
export const TENSOR_FORMS = {
  PackedTensor: {
    description: "A tensor as the base64 of its bytes.",
    ...packed([...JSON_DTYPES.keys()] as string[], "AAAAPwAAgL4AAMB/AACAPw=="),
  },
  SparseGradient: {
    description:
      "Rows: `indices` into the first dimension (repeated ones add up) and as many `values`. With `flat`, a dense " +
      "gradient that is zero elsewhere (top-k).",
    type: "object",
    additionalProperties: false,
    required: ["indices", "values"],
    properties: { indices: TENSOR, values: TENSOR, flat: FLAT },
  },
  Int8Gradient: {
    description: "A dense gradient, or with `indices` a sparse one, whose values are int8: element i means " +
      "values[i] × scale[floor(i / block)].",
    type: "object",
    additionalProperties: false,
    required: ["values", "scale"],
    properties: {
      indices: TENSOR,
      values: refer("Int8Tensor"),
      scale: TENSOR,
      block: {
        type: "integer",
        minimum: 1,
        description: `How many values, in row-major order, share a scale; default: ${BLOCK_DEFAULT}.`,
        example: BLOCK_DEFAULT,
      },
      flat: FLAT,
    },
  },
  Int8Tensor: { description: "Int8 values as the base64 of their bytes.", ...packed(["int8"], "f8AAgQ==") },
} as const;

/** Like {@link Tensor}, or rows of a sparse gradient, or a compact form. */
export const Gradient = z.unknown().openapi("Gradient", {
  description: "Values of the variable's shape, null for no gradient, or a compact form.",
  example: { indices: [5, 0], values: [[1, 2], [3, 4]] },
  anyOf: [TENSOR, NULL, refer("SparseGradient"), refer("Int8Gradient")],
});

/** Like {@link Tensor}, or an initializer. */
export const Initial = z.unknown().openapi("Initial", {
  description: "First values: of the variable's shape, one number for all, or an initializer.",
  example: { class_name: "GlorotUniform", config: { seed: 7 } },
  anyOf: [TENSOR, refer("MemberRequest")],
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

/** The families check its content: they know their members and give better messages than a schema. */
export const MemberRequest = z.union([z.string(), z.record(z.string(), z.unknown())]).openapi(
  "MemberRequest",
  {
    description:
      "A family member as Keras serializes it, or its name. An optimizer's module says whose rule it is.",
    example: { class_name: "SGD", config: { learning_rate: 0.1 } },
  },
);

export const OptimizerRequest = z.union([z.string(), z.record(z.string(), z.unknown())]).openapi(
  "OptimizerRequest",
  {
    description:
      "An optimizer as its framework serializes it, or its name; a module says whose rule it is. " +
      "`attributes` are overwritten after its construction, as `patch_optimizer` does; a run's description has " +
      "them where no config makes the same optimizer.",
    example: { class_name: "SGD", config: { learning_rate: 0.1 } },
  },
);

export const MemberSpelling = {
  module: z.string().optional().openapi({
    description: "Whose optimizer it is, as it was given; other members have none.",
    example: "keras.optimizers",
  }),
  registered_name: z.string().nullable().optional().openapi({
    description: "As it was given beside the module.",
    example: null,
  }),
};

export const Member = z.object({ class_name: ClassName, config: Config, ...MemberSpelling }).openapi(
  "Member",
  {
    description: "A family member in the form that its framework loads.",
  },
);

export const Warnings = z.array(z.string()).openapi({
  description:
    "What a reader might not expect: what was done as Keras does it, and what a step left that is not finite.",
  example: ["No gradient was given for dense/bias"],
});

export const Count = z.int().min(0);
export const Iterations = Count.openapi({ description: "Steps applied.", example: 3 });
export const Version = Count.openapi({
  description: 'Changes of state; the ETag is `"v<version>"`.',
  example: 3,
});
const NotFinite = z.enum(["NaN", "Infinity", "-Infinity"]).openapi("NotFinite", {
  description: "A number that JSON cannot say.",
  example: "NaN",
});
export const Norm = z.union([z.number(), NotFinite]);

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
