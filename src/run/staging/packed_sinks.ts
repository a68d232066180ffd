/**
 * Where the bytes of compact forms go: blocks of int8 with their scales become float32 as soon as both have come, and
 * the entries of a tensor that is zero elsewhere are put in their places.
 *
 * As the other sinks (sinks.ts), they know no run and no memory bound. The bytes that came stay as they are.
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

/** `whole` gets the sum of squares once all values and all scales are there, whichever came first. */
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
  /** Block by block as a reduction takes them, so that the sum is that of the same float32 values. */
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
        throw new RangeError(`More than ${at.bytes} bytes came for ${at.name}`);
      }
      arena.u8(at.offset + written, bytes.length).set(bytes);
      written += bytes.length;
    },
    close() {
      if (written !== at.bytes) throw new RangeError(`${written} of ${at.bytes} bytes came for ${at.name}`);
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
 * Makes the dense tensor of its entries: zeros, to which each value is added in float32, in order. Gives the sum of
 * squares.
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
