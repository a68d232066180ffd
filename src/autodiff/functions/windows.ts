/**
 * Sliding windows over images [batch, height, width, channels]: their positions and, for gradients, the elements at
 * each place of a window, as one tensor with an element for each window.
 *
 * Invariant: of the tensors made for one place of a window only the result is kept, because large windows have many
 * places.
 */
import { elementCount, type Shape, showShape } from "../../tensor.ts";
import { type Cost, MisfitError, type Tensor, type Tf } from "./define.ts";

/** Height and width. */
export type Pair = readonly number[];

export interface Windows {
  readonly size: Pair;
  readonly strides: Pair;
  readonly padding: string;
  /** The distance between the places of a window. */
  readonly dilations: Pair;
}

interface Line {
  /** The number of windows along this dimension. */
  readonly count: number;
  /** The distance from one window to the next. */
  readonly stride: number;
  /** Zeros that padding adds. */
  readonly before: number;
  readonly after: number;
}

function lineOf(
  length: number,
  { size, stride, padding }: { size: number; stride: number; padding: string },
): Line {
  // A stride beyond the input would only cost memory.
  const line = (count: number) => ({ count, stride: count > 1 ? stride : 1 });
  if (padding === "valid") {
    if (length < size) throw new MisfitError(`a window of ${size} does not fit into ${length}`);
    return { ...line(Math.floor((length - size) / stride) + 1), before: 0, after: 0 };
  }
  const count = Math.ceil(length / stride);
  const zeros = Math.max(0, (count - 1) * stride + size - length), before = Math.floor(zeros / 2);
  return { ...line(count), before, after: zeros - before };
}

/** The windows down and across. Throws MisfitError. */
export function linesOf(x: Shape, { size, strides, padding, dilations }: Windows): readonly [Line, Line] {
  if (x.length !== 4) {
    throw new MisfitError(`x has shape ${showShape(x)}, must be [batch, height, width, channels]`);
  }
  const [sy, sx] = strides as [number, number], [dy, dx] = dilations as [number, number];
  if (sy * sx > 1 && dy * dx > 1) throw new MisfitError("takes strides or dilations above 1, not both");
  const line = (at: 0 | 1) => {
    const extent = ((size[at] as number) - 1) * (dilations[at] as number) + 1;
    return lineOf(x[at + 1] as number, { size: extent, stride: strides[at] as number, padding });
  };
  return [line(0), line(1)];
}

/** The least work per place: for gradients, each place of a window takes several kernels, however small. */
const PLACE_WORK = 100_000;

/** The numbers that all windows cover together, and those that padding adds. */
export function costOf(x: Shape, windows: Windows): Cost {
  const [down, across] = linesOf(x, windows),
    [batch, height, width, channels] = x as [number, number, number, number];
  const padded = (height + down.before + down.after) * (width + across.before + across.after);
  const places = elementCount(windows.size);
  return {
    work: places * Math.max(PLACE_WORK, batch * down.count * across.count * channels),
    scratch: batch * channels * (padded - height * width),
  };
}

/** Windows over a padded tensor. */
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

  /** The number of all windows. */
  get count(): number {
    return (this.#shape[0] as number) * this.#down.count * this.#across.count;
  }

  /** The offset of every place of a window from its first corner. */
  *places(): Generator<readonly [number, number]> {
    const [height, width] = this.#windows.size as [number, number];
    const [dy, dx] = this.#windows.dilations as [number, number];
    for (let i = 0; i < height; i++) for (let j = 0; j < width; j++) yield [i * dy, j * dx];
  }

  /** The sum of `part` over all places, in order. */
  sum(part: (place: readonly [number, number], at: number) => Tensor): Tensor {
    const tf = this.#tf;
    let sum: Tensor | undefined, at = 0;
    for (const place of this.places()) {
      const before = sum, index = at++;
      sum = tf.tidy(() => before ? tf.add(before, part(place, index)) as Tensor : part(place, index));
      before?.dispose();
    }
    return sum as Tensor;
  }

  padded(x: Tensor, filling: number): Tensor {
    const { before: top, after: bottom } = this.#down, { before: left, after: right } = this.#across;
    return this.#tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]], filling);
  }

  /** The elements at one place of every window: [batch, windows down, windows across, channels]. */
  seen(padded: Tensor, [i, j]: readonly [number, number]): Tensor {
    const batch = this.#shape[0] as number, channels = padded.shape[3] as number;
    const { count: down, stride: sy } = this.#down, { count: across, stride: sx } = this.#across;
    const end = [batch, i + (down - 1) * sy + 1, j + (across - 1) * sx + 1, channels];
    return this.#tf.stridedSlice(padded, [0, i, j, 0], end, [1, sy, sx, 1]);
  }

  /** The inverse of `seen`: writes one element per window to its place in a padded tensor of zeros. */
  spread(part: Tensor, [i, j]: readonly [number, number]): Tensor {
    const tf = this.#tf, [batch, height, width, channels] = this.#shape as [number, number, number, number];
    const { count: down, stride: sy } = this.#down, { count: across, stride: sx } = this.#across;
    const gap = (axis: number, zeros: number) =>
      Array.from({ length: 4 }, (_, at): [number, number] => [0, at === axis ? zeros : 0]);
    const apart = tf.pad(tf.reshape(part, [batch * down, 1, across, channels]), gap(1, sy - 1));
    const wide = tf.pad(tf.reshape(apart, [batch * down * sy, across, 1, channels]), gap(2, sx - 1));
    const rows = height + this.#down.before + this.#down.after;
    const columns = width + this.#across.before + this.#across.after;
    const room: [number, number][] = [[0, 0], [i, rows], [j, columns], [0, 0]];
    const moved = tf.pad(tf.reshape(wide, [batch, down * sy, across * sx, channels]), room);
    return tf.slice(moved, [0, 0, 0, 0], [batch, rows, columns, channels]);
  }

  /** Removes the padding. */
  cut(padded: Tensor): Tensor {
    return this.#tf.slice(padded, [0, this.#down.before, this.#across.before, 0], [...this.#shape]);
  }
}
