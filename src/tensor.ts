/**
 * Shapes, element types and byte counts. Knows no run, no file format and no HTTP.
 *
 * Invariant: the dimensions of a shape that passed {@link isShape}, and its element count, are non-negative safe
 * integers, so no later product can overflow.
 */

/** Dimensions from the outermost to the innermost; `[]` is a scalar. */
export type Shape = readonly number[];

/** The bytes per element of the dtypes in bodies, by safetensors names. Variables and slots are always F32. */
export const WIRE_DTYPES = {
  F32: 4,
  F16: 2,
  BF16: 2,
  F64: 8,
  I8: 1,
  U8: 1,
  I32: 4,
  I64: 8,
  BOOL: 1,
} as const;
export type WireDtype = keyof typeof WIRE_DTYPES;

/** The product of the dimensions: 1 for a scalar, 0 when any dimension is 0. */
export function elementCount(shape: Shape): number {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  return count;
}

/** Whether the dimensions are non-negative integers whose product is a safe integer. */
export function isShape(shape: Shape): boolean {
  return shape.every((n) => Number.isSafeInteger(n) && n >= 0) && Number.isSafeInteger(elementCount(shape));
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, axis) => n === b[axis]);
}

/** The text of a shape: `[4, 3]`; a scalar is `[]`. */
export function showShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/**
 * Whether a tensor of shape `given` can stand for one of shape `wanted`: the same, or what is left of it in nested
 * JSON arrays, which cannot say the dimensions after a 0.
 */
export function fitsShape(given: Shape, wanted: Shape): boolean {
  if (given.at(-1) !== 0 || given.length > wanted.length) return sameShape(given, wanted);
  return given.every((n, axis) => n === wanted[axis]);
}

/** The places of an element along the axes of a shape, from its index in row-major order. */
export function placeOf(index: number, shape: Shape): number[] {
  let rest = index;
  return shape.toReversed().map((size) => {
    const at = rest % size;
    rest = (rest - at) / size;
    return at;
  }).toReversed();
}

/** A named float32 tensor, perhaps a part of a copy of several (never a view of an arena). */
export interface NamedTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly values: Float32Array<ArrayBuffer>;
}

/** Element type and shape of a tensor's bytes. */
export interface WireTensor {
  readonly dtype: WireDtype;
  readonly shape: Shape;
}

/** One F32 per `block` int8 values in row-major order: element i is values[i] × scale[floor(i / block)]. */
export interface WireScale extends WireTensor {
  readonly block: number;
}

/** A tensor in a compact form: int8 values in blocks, or the non-zero entries of a tensor, or both. */
export interface PackedTensor {
  /** Any float dtype, or I8 with a `scale`. */
  readonly values: WireTensor;
  readonly scale?: WireScale;
  /** I32 or I64 of shape [n]: the places of the n rows or, if `flat`, of the n numbers in `values`. */
  readonly indices?: WireTensor;
  /** Whether `indices` count elements in row-major order; repeated ones are summed in order. */
  readonly flat: boolean;
}

/** A sink for each part of a {@link PackedTensor}. The parts may arrive in any order. */
export interface PackedSinks {
  readonly values: ByteSink;
  readonly scale?: ByteSink;
  readonly indices?: ByteSink;
}

/** Takes the bytes of one tensor in order, in pieces of any length. `close` marks the end. */
export interface ByteSink {
  write(bytes: Uint8Array): void;
  close(): void;
}

/** A body of tensors that a target takes as a whole. */
export interface WholeBody {
  /** Bytes of all tensors. */
  readonly bytes: number;
  /** Begins to take them. The sink takes the bytes of all, in the order of the body. */
  open(): ByteSink;
}

/** How a target takes bodies of many plain tensors as a whole. */
export interface WholeBodies {
  /** The body whose entries had this key when the target took it last; undefined for others. */
  recall(key: string): WholeBody | undefined;
  /**
   * Checks the tensors of a body, in its order; undefined if they have to be taken one by one. Yields after each piece
   * of the work how long it took, in nanoseconds. Throws as the target does.
   */
  check(
    tensors: readonly (WireTensor & { readonly name: string })[],
    key: string,
  ): Generator<number, WholeBody | undefined>;
}

/**
 * The target of a tensor decoder. It checks names, shapes and dtypes, and throws a StepwellError before it takes a
 * byte. The decoder writes exactly `elementCount × item size` bytes to each sink.
 */
export interface TensorTarget {
  /** A dense tensor of any float dtype; where integers are taken, of those too. */
  dense(name: string, tensor: WireTensor): ByteSink;
  /** Rows of a tensor: `indices` of shape [rows] (I32 or I64), `values` of shape [rows, ...rest]. */
  sparse(name: string, indices: WireTensor, values: WireTensor): { indices: ByteSink; values: ByteSink };
  /** A tensor with a `scale`, or `flat`, or both. Absent if the target takes no compact form. */
  packed?(name: string, tensor: PackedTensor): PackedSinks;
  /** "No gradient" for this variable (Keras' `None`). */
  none(name: string): void;
  /** Absent if the target takes tensors one by one only. */
  readonly whole?: WholeBodies | undefined;
}
