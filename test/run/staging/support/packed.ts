/** Compact forms for tests: numbers packed as by a client, their decoded values, and sinks filled in any order. */
import type { ByteSink, PackedSinks, PackedTensor, Shape } from "../../../../src/tensor.ts";
import type { ArenaStaging } from "../../../../src/run/staging/staging.ts";

/** A compact tensor with its bytes. */
export interface Packed {
  readonly tensor: PackedTensor;
  readonly bytes: { readonly values: Uint8Array; readonly scale?: Uint8Array; readonly indices?: Uint8Array };
  /** The float32 values that were sent, before the indices place them. */
  readonly decoded: Float32Array;
}

const bytesOf = (array: ArrayBufferView<ArrayBuffer>) => new Uint8Array(array.buffer);

/** Int8 with the scale that makes the largest of a block 127; with `scales`, `numbers` are the int8 themselves. */
export function quantize(
  numbers: readonly number[],
  { shape, block, scales }: { shape: Shape; block: number; scales?: readonly number[] },
): Packed {
  const count = Math.ceil(numbers.length / block);
  const scale = Float32Array.from({ length: count }, (_, n) => {
    const largest = numbers.slice(n * block, (n + 1) * block).reduce(
      (max, x) => Math.max(max, Math.abs(x)),
      0,
    );
    return scales ? scales[n % scales.length] as number : largest / 127;
  });
  const unit = (i: number) => scale[Math.floor(i / block)] || 1;
  const values = Int8Array.from(numbers, (x, i) => scales ? x : Math.round(x / unit(i)));
  const decoded = Float32Array.from(values, (q, i) => q * (scale[Math.floor(i / block)] as number));
  return {
    tensor: {
      values: { dtype: "I8", shape },
      scale: { dtype: "F32", shape: [count], block },
      flat: false,
    },
    bytes: { values: bytesOf(values), scale: bytesOf(scale) },
    decoded,
  };
}

/** `numbers` in a given dtype, at `indices`. */
export function entries(
  numbers: readonly number[],
  { indices, dtype, wide = false }: {
    indices: readonly number[];
    dtype: "F32" | "F16" | "BF16" | "F64";
    /** Indices as int64. */
    wide?: boolean;
  },
): Packed {
  const [values, decoded] = encode(numbers, dtype);
  return withIndices({
    tensor: { values: { dtype, shape: [numbers.length] }, flat: true },
    bytes: { values },
    decoded,
  }, {
    indices,
    wide,
  });
}

/** The same values at `indices`, which are element numbers if `flat`. */
export function withIndices(
  { tensor, bytes, decoded }: Packed,
  { indices, wide = false, flat = true }: { indices: readonly number[]; wide?: boolean; flat?: boolean },
): Packed {
  const list = wide ? BigInt64Array.from(indices, BigInt) : Int32Array.from(indices);
  return {
    tensor: { ...tensor, indices: { dtype: wide ? "I64" : "I32", shape: [indices.length] }, flat },
    bytes: { ...bytes, indices: bytesOf(list) },
    decoded,
  };
}

function encode(
  numbers: readonly number[],
  dtype: "F32" | "F16" | "BF16" | "F64",
): [Uint8Array, Float32Array] {
  if (dtype === "F64") return [bytesOf(Float64Array.from(numbers)), Float32Array.from(numbers)];
  if (dtype === "F32") return [bytesOf(Float32Array.from(numbers)), Float32Array.from(numbers)];
  if (dtype === "F16") {
    const halves = Float16Array.from(numbers);
    return [bytesOf(halves), Float32Array.from(halves)];
  }
  const halves = new Uint16Array(Float32Array.from(numbers).buffer).filter((_, n) => n % 2 === 1).slice();
  return [bytesOf(halves), new Float32Array(Uint32Array.from(halves, (half) => half << 16 >>> 0).buffer)];
}

/** Decodes flat entries: zeros, to which each is added in float32, in order. */
export function placed(count: number, indices: readonly number[], values: Float32Array): Float32Array {
  const tensor = new Float32Array(count);
  indices.forEach((place, n) => tensor[place] = (tensor[place] as number) + (values[n] as number));
  return tensor;
}

export type Part = "values" | "scale" | "indices";

/** Fills the sinks of a packed tensor, part after part, in pieces of `size` bytes. */
export function send(
  staging: ArenaStaging,
  name: string,
  packed: Packed,
  { order = ["indices", "scale", "values"], size = 1 << 20 }: { order?: readonly Part[]; size?: number } = {},
): void {
  const sinks: PackedSinks = staging.packed(name, packed.tensor);
  for (const part of order) {
    const sink = sinks[part], bytes = packed.bytes[part];
    if (sink && bytes) pour(sink, bytes, size);
  }
}

function pour(sink: ByteSink, bytes: Uint8Array, size: number): void {
  for (let at = 0; at < bytes.length; at += size) sink.write(bytes.subarray(at, at + size));
  sink.close();
}
