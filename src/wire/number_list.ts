/**
 * Numbers of a nested array as float64, in segments: what a large tensor in JSON becomes before its target takes it.
 * It takes 8 bytes for each number, and no array for each row.
 */

const SEGMENT_NUMBERS_MIN = 16;
/** A segment of 512 KiB. */
const SEGMENT_NUMBERS_MAX = 64 << 10;

/** Numbers in row-major order, and their shape, which has at least one dimension. */
export class NestedNumbers {
  readonly shape: readonly number[];
  /** They hold the numbers in order, without holes. */
  readonly segments: readonly Float64Array[];

  constructor(shape: readonly number[], segments: readonly Float64Array[]) {
    this.shape = shape;
    this.segments = segments;
  }
}

/** A list that grows without being copied. */
export class NumberList {
  readonly #segments: Float64Array[] = [];
  #segment = new Float64Array(SEGMENT_NUMBERS_MIN);
  #used = 0;

  push(x: number): void {
    if (this.#used === this.#segment.length) {
      this.#segments.push(this.#segment);
      this.#segment = new Float64Array(Math.min(2 * this.#used, SEGMENT_NUMBERS_MAX));
      this.#used = 0;
    }
    this.#segment[this.#used++] = x;
  }

  pushAll(numbers: readonly number[]): void {
    for (let i = 0; i < numbers.length; i++) this.push(numbers[i]!);
  }

  /** The segments so far. The list must not be used afterwards. */
  take(): readonly Float64Array[] {
    if (this.#used > 0) this.#segments.push(this.#segment.subarray(0, this.#used));
    return this.#segments;
  }
}
