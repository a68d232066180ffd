/** A sink that converts integers and booleans to float32, if float32 holds each of them exactly. */
import { joined } from "../../wire/joined.ts";
import type { Arena } from "../../../kernels/arena.ts";
import { BLOCK } from "../../../kernels/compiler/interpret.ts";
import { sumSquares } from "../../../kernels/routines/ingest.ts";
import { type ByteSink, WIRE_DTYPES } from "../../tensor.ts";
import { type Inexact, type IntegerDtype, writeIntegers } from "../../wire/integers.ts";

interface IntegerRegion {
  readonly arena: Arena;
  readonly name: string;
  readonly dtype: IntegerDtype;
  /** Byte offset of `count` float32 values. */
  readonly target: number;
  readonly count: number;
  /** Throws for an element that float32 cannot hold. */
  refuse(inexact: Inexact): never;
}

/** `whole` is called with the sum of squares once all elements are there. */
export function integerSink(region: IntegerRegion, whole: (squares: number) => void): ByteSink {
  const { arena, name, dtype, target, count, refuse } = region;
  const itemBytes = WIRE_DTYPES[dtype], end = count * itemBytes;
  /** The bytes of an element of which more are to come. */
  let rest = new Uint8Array(0), written = 0, done = 0;
  return {
    write(piece) {
      if (written + piece.length > end) throw new RangeError(`Got more than ${end} bytes for ${name}`);
      written += piece.length;
      const bytes = rest.length === 0 ? piece : joined([rest, piece]);
      const elements = Math.floor(bytes.length / itemBytes);
      const values = arena.f32(target + 4 * done, elements);
      const inexact = writeIntegers(dtype, bytes.subarray(0, elements * itemBytes), values);
      if (inexact) refuse({ ...inexact, index: done + inexact.index });
      done += elements;
      rest = bytes.slice(elements * itemBytes);
    },
    close() {
      if (written !== end) throw new RangeError(`Got ${written} of ${end} bytes for ${name}`);
      let squares = 0;
      for (let at = 0; at < count; at += BLOCK) {
        squares += sumSquares(arena, target + 4 * at, Math.min(BLOCK, count - at));
      }
      whole(squares);
    },
  };
}
