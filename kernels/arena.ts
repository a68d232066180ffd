/**
 * A `WebAssembly.Memory`, its allocator, and the kernels instantiated on it. Holds the tensors of one large run
 * or of many small ones; knows neither.
 *
 * Invariants: regions are 64-byte aligned and disjoint; the first 64 bytes are never given out and stay zero, so
 * offset 0 is the index list of "one row, row 0". Growing replaces the buffer: views are made by `f32()` and its
 * like, used at once, and never kept across an allocation or an `await`.
 */
import { hostFunctions } from "./language/ops.ts";

const PAGE_BYTES = 65536;
const ALIGNMENT = 64;
/** What a memory grows by beyond the need: enough for thousands of small runs, little beside a large one. */
const GROWTH_BYTES_MAX = 4 * 1024 ** 2;
/** wasm32 addresses end here. */
export const ARENA_BYTES_MAX = 4 * 1024 ** 3;

export type KernelFunction = (...args: number[]) => number | number[] | undefined;

interface Gap {
  readonly offset: number;
  readonly bytes: number;
}

const alignUp = (bytes: number) => Math.ceil(Math.max(bytes, 1) / ALIGNMENT) * ALIGNMENT;
const math = hostFunctions();

export class Arena {
  readonly memory: WebAssembly.Memory;
  readonly bytesMax: number;
  readonly #functions = new WeakMap<WebAssembly.Module, KernelFunction>();
  readonly #sizes = new Map<number, number>();
  /** Free stretches by rising offset; neighbours are merged. */
  readonly #free: Gap[] = [];
  #end = ALIGNMENT;
  #used = 0;

  constructor(options: { bytesMax: number }) {
    this.bytesMax = Math.min(options.bytesMax, ARENA_BYTES_MAX);
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: Math.ceil(this.bytesMax / PAGE_BYTES) });
  }

  /** The memory's bytes as they are now: another object after the memory has grown. */
  get buffer(): ArrayBuffer {
    return this.memory.buffer as ArrayBuffer;
  }

  /** Bytes in regions that are given out. */
  get bytesUsed(): number {
    return this.#used;
  }

  /** Bytes of the memory, used or not. */
  get bytesReserved(): number {
    return this.buffer.byteLength;
  }

  /** By how many bytes the memory would grow for `allocate(bytes)`. */
  growth(bytes: number): number {
    const wanted = alignUp(bytes);
    if (this.#free.some((gap) => gap.bytes >= wanted)) return 0;
    const missing = this.#end + wanted - this.bytesReserved;
    return missing > 0 ? this.#grown(missing) - this.bytesReserved : 0;
  }

  /** Offset of a region of at least `bytes`; its content is not defined. Throws RangeError when it does not fit. */
  allocate(bytes: number): number {
    const wanted = alignUp(bytes);
    const index = this.#free.findIndex((gap) => gap.bytes >= wanted);
    let offset = this.#end;
    const gap = this.#free[index];
    if (gap) {
      offset = gap.offset;
      if (gap.bytes === wanted) this.#free.splice(index, 1);
      else this.#free[index] = { offset: offset + wanted, bytes: gap.bytes - wanted };
    } else {
      if (this.#end + wanted > this.bytesMax) {
        throw new RangeError(`Cannot allocate ${bytes} bytes: ${this.#used} of ${this.bytesMax} are in use`);
      }
      const missing = this.#end + wanted - this.bytesReserved;
      if (missing > 0) this.memory.grow((this.#grown(missing) - this.bytesReserved) / PAGE_BYTES);
      this.#end += wanted;
    }
    this.#sizes.set(offset, wanted);
    this.#used += wanted;
    return offset;
  }

  /** Bytes after growing by at least `missing`: an eighth more makes many small runs few growths. */
  #grown(missing: number): number {
    const current = this.bytesReserved;
    const wanted = Math.min(
      current + Math.max(missing, Math.min(current / 8, GROWTH_BYTES_MAX)),
      this.bytesMax,
    );
    return Math.ceil(wanted / PAGE_BYTES) * PAGE_BYTES;
  }

  /** Gives a region back. Throws RangeError where none starts. */
  release(offset: number): void {
    const bytes = this.#sizes.get(offset);
    if (bytes === undefined) throw new RangeError(`Cannot release offset ${offset}: no region starts there`);
    this.#sizes.delete(offset);
    this.#used -= bytes;
    const at = this.#gapAfter(offset);
    const before = this.#free[at - 1], after = this.#free[at];
    const joinsBefore = before !== undefined && before.offset + before.bytes === offset;
    const joinsAfter = after !== undefined && after.offset === offset + bytes;
    const start = joinsBefore ? before.offset : offset;
    const end = joinsAfter ? after.offset + after.bytes : offset + bytes;
    const gap = end === this.#end ? [] : [{ offset: start, bytes: end - start }];
    this.#free.splice(at - Number(joinsBefore), Number(joinsBefore) + Number(joinsAfter), ...gap);
    if (end === this.#end) this.#end = start;
  }

  /** Index of the first gap that begins behind `offset`. */
  #gapAfter(offset: number): number {
    let low = 0, high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#free[middle] as Gap).offset > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  u8(offset: number, bytes: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.buffer, offset, bytes);
  }

  f32(offset: number, count: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.buffer, offset, count);
  }

  i32(offset: number, count: number): Int32Array<ArrayBuffer> {
    return new Int32Array(this.buffer, offset, count);
  }

  f64(offset: number, count: number): Float64Array<ArrayBuffer> {
    return new Float64Array(this.buffer, offset, count);
  }

  /** The module's kernel on this memory, instantiated once. */
  kernel(module: WebAssembly.Module): KernelFunction {
    let kernel = this.#functions.get(module);
    if (!kernel) {
      const instance = new WebAssembly.Instance(module, { arena: { memory: this.memory }, math });
      kernel = instance.exports["kernel"] as KernelFunction;
      this.#functions.set(module, kernel);
    }
    return kernel;
  }
}
