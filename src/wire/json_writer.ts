/**
 * JSON text in pieces, for answers that are too long to be written at once. The pieces together are what
 * `JSON.stringify` writes.
 *
 * It knows no answer and no encoding. A piece has up to some thousand letters, unless a value that is given whole has
 * more.
 */
import type { Shape } from "../tensor.ts";

export type JsonPieces = Iterable<string>;

/** Numbers in one piece. */
const PIECE = 256;

/** A value that is written at once. */
export const plainJson = (value: unknown): JsonPieces => [JSON.stringify(value)];

/** `{NAME: value, …}`. */
export function* recordJson(members: Iterable<readonly [string, JsonPieces]>): Generator<string> {
  let before = "{";
  for (const [name, value] of members) {
    yield `${before}${JSON.stringify(name)}:`;
    yield* value;
    before = ",";
  }
  yield before === "{" ? "{}" : "}";
}

/** `[value, …]`. */
export function* listJson(values: Iterable<JsonPieces>): Generator<string> {
  let before = "[";
  for (const value of values) {
    yield before;
    yield* value;
    before = ",";
  }
  yield before === "[" ? "[]" : "]";
}

/**
 * Values as nested arrays of `shape`, and a scalar as one number. The numbers are exactly the float32 values; NaN and
 * the infinities are strings.
 */
export function* tensorJson(values: Float32Array, shape: Shape): Generator<string> {
  if (shape.length === 0) return yield numberJson(values[0] as number);
  const lengths = shape as readonly [number, ...number[]], innermost = shape.length - 1;
  let at = 0;
  yield* level(0);

  function* level(axis: number): Generator<string> {
    const length = lengths[axis] as number;
    if (axis < innermost) {
      for (let n = 0; n < length; n++) {
        yield n === 0 ? "[" : ",";
        yield* level(axis + 1);
      }
      return yield length === 0 ? "[]" : "]";
    }
    let text = "[";
    for (let n = 0; n < length; n++) {
      text += n === 0 ? numberJson(values[at++] as number) : `,${numberJson(values[at++] as number)}`;
      if (n % PIECE !== PIECE - 1) continue;
      yield text;
      text = "";
    }
    yield `${text}]`;
  }
}

function numberJson(x: number): string {
  if (x - x !== 0) return `"${x}"`;
  return x === 0 && 1 / x < 0 ? "-0" : `${x}`;
}
