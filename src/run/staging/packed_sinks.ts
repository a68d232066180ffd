/**
 * Sinks for compact forms: blocks of int8 are converted to float32 as soon as their scales have been received, and
 * the entries of a tensor that is zero elsewhere are put in their places.
 *
 * Like the other sinks (sinks.ts), they know no run and no memory bound. The received bytes are kept.
 */
import type { Arena } from "../../../kernels/arena.ts";
import { type Blocks, decodeBlocks } from "../../../kernels/routines/blocks.ts";
import { sumSquares } from "../../../kernels/routines/ingest.ts";
import { BLOCK } from "../../../kernels/compiler/interpret.ts";
import type { ByteSink } from "../../tensor.ts";

interface BlockRegion extends Blocks {
  readonly arena: Arena;
  readonly name: string;
  /** Elements of the tensor. */
  readonly count: number;
  /** ceil(count / block). */
  readonly scaleCount: number;
}

/** `whole` is called with the sum of squares once all values and scales are there, in either order. */
export function blockSinks(
  region: BlockRegion,
  whole: (squares: number) => void,
): { values: ByteSink; scale: ByteSink } {
  const { arena, name, count } = region;
  let decoded = 0, squares = 0, open = 2;
  const values = byteRegion(arena, { name, offset: region.values, bytes: count });
  const scale = byteRegion(arena, {
    name: `${name}#scale`,
    offset: region.scales,
    bytes: 4 * region.scaleCount,
  });
  /** Uses the blocks of reductions, so that the sum has the same bits as for float32 values. */
  const decode = () => {
    while (decoded < count) {
      const end = Math.min(decoded + BLOCK, count);
      if (values.written < end || !scale.isWhole) return;
      decodeBlocks(arena, region, decoded, end);
      squares += sumSquares(arena, region.target + 4 * decoded, end - decoded);
      decoded = end;
    }
  };
  const close = (part: ByteRegion) => {
    part.close();
    decode();
    open -= 1;
    if (open === 0) whole(squares);
  };
  return {
    values: {
      write(bytes) {
        values.write(bytes);
        decode();
      },
      close: () => close(values),
    },
    scale: { write: (bytes) => scale.write(bytes), close: () => close(scale) },
  };
}

interface ByteRegion extends ByteSink {
  readonly written: number;
  readonly isWhole: boolean;
}

function byteRegion(arena: Arena, at: { name: string; offset: number; bytes: number }): ByteRegion {
  let written = 0, isWhole = false;
  return {
    get written() {
      return written;
    },
    get isWhole() {
      return isWhole;
    },
    write(bytes) {
      if (written + bytes.length > at.bytes) {
        throw new RangeError(`Got more than ${at.bytes} bytes for ${at.name}`);
      }
      arena.u8(at.offset + written, bytes.length).set(bytes);
      written += bytes.length;
    },
    close() {
      if (written !== at.bytes) throw new RangeError(`Got ${written} of ${at.bytes} bytes for ${at.name}`);
      isWhole = true;
    },
  };
}

interface Entries {
  /** Byte offset of `entries` int32 numbers of elements, each in range. */
  readonly indices: number;
  /** Byte offset of `entries` float32 values. */
  readonly values: number;
  readonly entries: number;
  readonly target: number;
  readonly count: number;
}

/**
 * Makes a dense tensor from its entries: starts with zeros and adds each value in float32, in order. Returns the sum
 * of squares.
 */
export function placeEntries(arena: Arena, { indices, values, entries, target, count }: Entries): number {
  const tensor = arena.f32(target, count).fill(0);
  const places = arena.i32(indices, entries), given = arena.f32(values, entries);
  for (let n = 0; n < entries; n++) {
    const place = places[n] as number;
    tensor[place] = (tensor[place] as number) + (given[n] as number);
  }
  return sumSquares(arena, target, count);
}
