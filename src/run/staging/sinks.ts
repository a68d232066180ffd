/**
 * Sinks for the bytes of one tensor, in pieces of any length. Floats are converted to float32 and their squares added
 * up, block by block while the bytes are in the caches. Indices are converted to int32 and checked.
 *
 * Sinks know no run and no memory bound: their regions were allocated before. They make new views for each write,
 * because memory may grow meanwhile. A RangeError means that the decoder sent a wrong number of bytes.
 */
import type { Arena } from "../../../kernels/arena.ts";
import { decodeElements, sumSquares } from "../../../kernels/routines/ingest.ts";
import { BLOCK } from "../../../kernels/compiler/interpret.ts";
import { ELEMENT_BYTES, type ElementType } from "../../../kernels/compiler/pass.ts";
import { refusal } from "../../errors.ts";
import { type ByteSink, WIRE_DTYPES, type WireDtype } from "../../tensor.ts";

/** Four blocks: fewer, larger copies gain a few percent; more blocks do not stay in the first-level caches. */
const WINDOW_COUNT = 4 * BLOCK;

/** Bytes of the window from which elements are converted or copied. */
export function windowBytes(type: ElementType, count: number): number {
  return Math.min(WINDOW_COUNT, count) * ELEMENT_BYTES[type];
}

interface FloatRegion {
  readonly arena: Arena;
  readonly name: string;
  readonly type: ElementType;
  /** Byte offset of the received bytes: the target itself, a window, or a region for all of them. */
  readonly buffer: number;
  /** Whether a buffer apart from the target has room for all bytes and keeps them. */
  readonly keeps: boolean;
  /** Byte offset of the float32 values. */
  readonly target: number;
  readonly count: number;
  /** Called with a float64 number that became an infinity, and its place; may throw. */
  readonly overflowed?: ((value: number, index: number) => void) | undefined;
}

/** `whole` is called with the sum of squares once all elements are there. */
export function floatSink(
  { arena, name, type, buffer, keeps, target, count, overflowed }: FloatRegion,
  whole: (squares: number) => void,
): ByteSink {
  const inPlace = buffer === target;
  const itemBytes = ELEMENT_BYTES[type];
  const end = count * itemBytes;
  const bufferBytes = inPlace || keeps ? end : windowBytes(type, count);
  /** `start`: index of the tensor's byte at the beginning of the buffer. */
  let written = 0, start = 0, done = 0, squares = 0;
  const takeBlocks = () => {
    while (done < count) {
      const elements = Math.min(BLOCK, count - done);
      if (written < (done + elements) * itemBytes) return;
      const source = buffer + done * itemBytes - start, to = target + 4 * done;
      const added = inPlace
        ? sumSquares(arena, to, elements)
        : decodeElements(arena, { source, type, target: to, count: elements });
      if (overflowed && type === "f64" && !Number.isFinite(added)) {
        findOverflow(arena, { source, to, elements, first: done }, overflowed);
      }
      squares += added;
      done += elements;
    }
  };
  return {
    write(bytes) {
      for (let from = 0; from < bytes.length;) {
        const piece = bytes.subarray(from, from + Math.min(start + bufferBytes, end) - written);
        if (piece.length === 0) throw new RangeError(`Got more than ${end} bytes for ${name}`);
        arena.u8(buffer + written - start, piece.length).set(piece);
        written += piece.length;
        from += piece.length;
        takeBlocks();
        if (written === start + bufferBytes) start = written;
      }
    },
    close() {
      checkBytes(written, end, name);
      whole(squares);
    },
  };
}

function findOverflow(
  { buffer }: Arena,
  { source, to, elements, first }: { source: number; to: number; elements: number; first: number },
  overflowed: (value: number, index: number) => void,
): void {
  const given = new DataView(buffer, source, 8 * elements), values = new Float32Array(buffer, to, elements);
  const index = values.findIndex((value, at) =>
    Math.abs(value) === Infinity && value !== given.getFloat64(8 * at, true)
  );
  if (index >= 0) overflowed(given.getFloat64(8 * index, true), first + index);
}

interface IndexRegion {
  readonly arena: Arena;
  /** The variable's name. */
  readonly name: string;
  /** Byte offset of {@link indexBytes} bytes. The int32 that int64 indices become are in the first half. */
  readonly target: number;
  readonly count: number;
  /** Every index must be below this count of the variable's rows or elements. */
  readonly limit: number;
}

/** Bytes of the received indices, which are converted to int32 in place. */
export function indexBytes(dtype: WireDtype, count: number): number {
  return WIRE_DTYPES[dtype] * count;
}

/** A sink that converts indices to int32 once all are there. `close` throws index_out_of_range. */
export function indexSink({ arena, name, target, count, limit }: IndexRegion, dtype: WireDtype): ByteSink {
  const end = indexBytes(dtype, count);
  let written = 0;
  return {
    write(bytes) {
      if (written + bytes.length > end) throw new RangeError(`Got more than ${end} bytes for ${name}`);
      arena.u8(target + written, bytes.length).set(bytes);
      written += bytes.length;
    },
    close() {
      checkBytes(written, end, name);
      const words = arena.i32(target, end / 4), wide = dtype === "I64";
      for (let at = 0; at < count; at++) {
        const index = words[wide ? 2 * at : at] as number;
        if (index < 0 || index >= limit || (wide && words[2 * at + 1] !== 0)) {
          const given = wide ? new DataView(arena.buffer).getBigInt64(target + 8 * at, true) : index;
          refuseIndex({ index: given, at, name, limit });
        }
        words[at] = index;
      }
    },
  };
}

function refuseIndex(
  { index, at, name, limit }: { index: number | bigint; at: number; name: string; limit: number },
): never {
  const problem = `is ${index}, must be from 0 to ${limit - 1}`;
  const subject = { path: `gradients.${name}.indices.${at}`, called: `index ${at}` };
  throw refusal("index_out_of_range", `take the gradient of "${name}"`, subject, problem);
}

function checkBytes(written: number, wanted: number, name: string): void {
  if (written !== wanted) throw new RangeError(`Got ${written} of ${wanted} bytes for ${name}`);
}
