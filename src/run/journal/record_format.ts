/**
 * The layout of a change's record.
 *
 *     payload  head length u32 | head (JSON) | bytes of the tensors in the head's order
 *
 * Tensors keep the bytes in which they were sent: bf16, f16, int8 with scales, and the entries of a flat tensor. All
 * others are float32 as in the arena. The parts of a tensor are in the order indices, scale, values.
 */
import { z } from "zod";
import { elementCount, WIRE_DTYPES, type WireTensor } from "../../tensor.ts";

export const KINDS = {
  gradients: 1,
  variables: 2,
  weights: 3,
  optimizer: 4,
  contribution: 5,
  round: 6,
  withdrawal: 7,
} as const;

const Wire = z.strictObject({
  dtype: z.enum(["F32", "F16", "BF16", "F64", "I8", "I32", "I64"]),
  shape: z.array(z.int()),
});
const Packed = z.strictObject({
  indices: Wire.exactOptional(),
  scale: Wire.extend({ block: z.int() }).exactOptional(),
  values: Wire,
  flat: z.boolean(),
});
const Tensor = z.union([
  z.strictObject({ name: z.string(), dense: Wire }),
  z.strictObject({ name: z.string(), indices: Wire, values: Wire }),
  z.strictObject({ name: z.string(), packed: Packed }),
]);
export const Tensors = z.array(Tensor), Names = z.array(z.string());
/** Dense float32 tensors of all optimized variables, in the run's order. Of weights: all that the run has, in order. */
export const ALL = "all";
export const Head = z.strictObject({
  options: z.record(z.string(), z.unknown()),
  tensors: z.union([z.literal(ALL), Tensors]),
  absent: Names,
  /** Of a change that is no contribution; a contribution has it among its options. */
  key: z.strictObject({ key: z.string(), hash: z.string(), at: z.number() }).exactOptional(),
  /** Whose hyperparameters were overwritten; absent: those of the run's optimizer. */
  group: z.string().exactOptional(),
});
export type Head = z.infer<typeof Head>;
export type RecordedTensor = z.infer<typeof Tensor>;

export const bytesOf = ({ dtype, shape }: WireTensor) => elementCount(shape) * WIRE_DTYPES[dtype];
