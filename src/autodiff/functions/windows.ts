/**
 * Windows that move over images [batch, height, width, channels]: where they lie, and, for gradients, what each place
 * of a window sees, as one tensor with an element for each window.
 */
import { type Shape, showShape } from "../../tensor.ts";
import { MisfitError, type Tensor, type Tf } from "./define.ts";

/** Height and width. */
export type Pair = readonly number[];

export interface Windows {
  readonly size: Pair;
  readonly strides: Pair;
  readonly padding: string;
}

interface Line {
  /** Windows along this dimension. */
  readonly count: number;
  /** Zeros that padding adds. */
  readonly before: number;
  readonly after: number;
}

function lineOf(
  length: number,
  { size, stride, padding }: { size: number; stride: number; padding: string },
): Line {
  if (padding === "valid") {
    if (length < size) throw new MisfitError(`a window of ${size} does not fit into ${length}`);
    return { count: Math.floor((length - size) / stride) + 1, before: 0, after: 0 };
  }
  const count = Math.ceil(length / stride);
  const zeros = Math.max(0, (count - 1) * stride + size - length), before = Math.floor(zeros / 2);
  return { count, before, after: zeros - before };
}

/** Down and across. Throws MisfitError. */
export function linesOf(x: Shape, { size, strides, padding }: Windows): readonly [Line, Line] {
  if (x.length !== 4) {
    throw new MisfitError(`x has shape ${showShape(x)}, must be [batch, height, width, channels]`);
  }
  const line = (at: 0 | 1) =>
    lineOf(x[at + 1] as number, { size: size[at] as number, stride: strides[at] as number, padding });
  return [line(0), line(1)];
}

/** Windows over a tensor, which is padded with `filling`. */
export class Windowed {
  readonly #tf: Tf;
  readonly #shape: Shape;
  readonly #windows: Windows;
  readonly #down: Line;
  readonly #across: Line;

  constructor(tf: Tf, shape: Shape, windows: Windows) {
    this.#tf = tf;
    this.#shape = shape;
    this.#windows = windows;
    [this.#down, this.#across] = linesOf(shape, windows);
  }

  /** Windows in all. */
  get count(): number {
    return (this.#shape[0] as number) * this.#down.count * this.#across.count;
  }

  /** Every place of a window. */
  *places(): Generator<readonly [number, number]> {
    const [height, width] = this.#windows.size as [number, number];
    for (let i = 0; i < height; i++) for (let j = 0; j < width; j++) yield [i, j];
  }

  padded(x: Tensor, filling: number): Tensor {
    const { before: top, after: bottom } = this.#down, { before: left, after: right } = this.#across;
    return this.#tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]], filling);
  }

  /** What each window sees at one of its places: [batch, windows down, windows across, channels]. */
  seen(padded: Tensor, [i, j]: readonly [number, number]): Tensor {
    const [batch, , , channels] = this.#shape as [number, number, number, number];
    const [sy, sx] = this.#windows.strides as [number, number];
    const end = [batch, i + (this.#down.count - 1) * sy + 1, j + (this.#across.count - 1) * sx + 1, channels];
    return this.#tf.stridedSlice(padded, [0, i, j, 0], end, [1, sy, sx, 1]);
  }

  /** The other way: one number for each window back to where its place is, in a padded tensor. */
  spread(part: Tensor, [i, j]: readonly [number, number]): Tensor {
    const tf = this.#tf, [batch, height, width, channels] = this.#shape as [number, number, number, number];
    const [sy, sx] = this.#windows.strides as [number, number];
    const down = this.#down.count, across = this.#across.count;
    const apart = tf.pad(tf.reshape(part, [batch * down, 1, across, channels]), [
      [0, 0],
      [0, sy - 1],
      [0, 0],
      [
        0,
        0,
      ],
    ]);
    const wide = tf.pad(tf.reshape(apart, [batch * down * sy, across, 1, channels]), [[0, 0], [0, 0], [
      0,
      sx - 1,
    ], [
      0,
      0,
    ]]);
    const rows = height + this.#down.before + this.#down.after;
    const columns = width + this.#across.before + this.#across.after;
    const room: [number, number][] = [[0, 0], [i, rows], [j, columns], [0, 0]];
    const moved = tf.pad(tf.reshape(wide, [batch, down * sy, across * sx, channels]), room);
    return tf.slice(moved, [0, 0, 0, 0], [batch, rows, columns, channels]);
  }

  /** Without the padding. */
  cut(padded: Tensor): Tensor {
    return this.#tf.slice(padded, [0, this.#down.before, this.#across.before, 0], [...this.#shape]);
  }
}
