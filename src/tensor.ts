/**
 * Shapes, element types and byte counts. Knows no run, no file format and no HTTP.
 *
 * Invariant: a shape that passed {@link isShape} has dimensions that are non-negative safe integers
 * and an element count that is one too, so no later product can overflow.
 */

/** Dimensions from the outermost to the innermost; `[]` is a scalar. */
export type Shape = readonly number[];

/** Element types that may travel, under their safetensors names. Variables and slots are always F32. */
export const WIRE_DTYPES = { F32: 4, F16: 2, BF16: 2, F64: 8, I32: 4, I64: 8 } as const;
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

/** A shape as people write it: `[4, 3]`; a scalar is `[]`. */
export function showShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** A named float32 tensor in memory of its own (never a view of an arena). */
export interface NamedTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly values: Float32Array<ArrayBuffer>;
}

/** Takes the bytes of one tensor in order, in pieces of any length; `close` says that all have come. */
export interface ByteSink {
  write(bytes: Uint8Array): void;
  close(): void;
}

/**
 * What a decoder of tensors writes into. The target checks names, shapes and dtypes and throws a
 * StepwellError before any byte is taken; the decoder promises exactly `elementCount × item size` bytes a sink.
 */
export interface TensorTarget {
  /** A dense tensor of any float dtype. */
  dense(name: string, tensor: { dtype: WireDtype; shape: Shape }): ByteSink;
  /** Rows of a tensor: `indices` of shape [rows] (I32 or I64), `values` of shape [rows, ...rest]. */
  sparse(
    name: string,
    indices: { dtype: WireDtype; shape: Shape },
    values: { dtype: WireDtype; shape: Shape },
  ): { indices: ByteSink; values: ByteSink };
  /** "No gradient" for this variable (Keras' `None`). */
  none(name: string): void;
}
