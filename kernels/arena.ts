/**
 * A `WebAssembly.Memory`, its allocator, and the kernels instantiated on it. An arena holds the tensors of one large
 * run or of many small ones, and knows nothing about runs.
 *
 * Invariants: regions are 64-byte aligned and disjoint. The first 64 bytes are never allocated. The first 32 stay zero,
 * so offset 0 is the index list of "one row, row 0"; at {@link FLAG_OFFSET} kernels leave a mark. Growing replaces the buffer: make views with `f32()` and the like,
 * use them at once, and never keep one across an allocation or an `await`.
 */
import { hostFunctions } from "./language/ops.ts";

const PAGE_BYTES = 65536;
const ALIGNMENT = 64;
/**
 * The most by which a memory grows beyond the need: enough for thousands of small runs, little beside a large run.
 */
const GROWTH_BYTES_MAX = 4 * 1024 ** 2;
/** The end of the wasm32 address space. */
export const ARENA_BYTES_MAX = 4 * 1024 ** 3;

/** Byte offset of the int32 that kernels set to 1 when they store a number that is not finite. They never clear it. */
export const FLAG_OFFSET = 32;

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
  /** Free gaps, sorted by offset; adjacent gaps are merged. */
  readonly #free: Gap[] = [];
  #end = ALIGNMENT;
  #used = 0;
  /** A view of the mark, in the memory's latest buffer. */
  #flag: Int32Array<ArrayBuffer>;

  constructor(options: { bytesMax: number }) {
    this.bytesMax = Math.min(options.bytesMax, ARENA_BYTES_MAX);
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: Math.ceil(this.bytesMax / PAGE_BYTES) });
    this.#flag = this.i32(FLAG_OFFSET, 1);
  }

  /** The current buffer of the memory. Growing the memory replaces it. */
  get buffer(): ArrayBuffer {
    return this.memory.buffer as ArrayBuffer;
  }

  /** Bytes in allocated regions. */
  get bytesUsed(): number {
    return this.#used;
  }

  /** Size of the memory in bytes, used or not. */
  get bytesReserved(): number {
    return this.buffer.byteLength;
  }

  /** The number of bytes by which `allocate(bytes)` would grow the memory. */
  growth(bytes: number): number {
    const wanted = alignUp(bytes);
    if (this.#free.some((gap) => gap.bytes >= wanted)) return 0;
    const missing = this.#end + wanted - this.bytesReserved;
    return missing > 0 ? this.#grown(missing) - this.bytesReserved : 0;
  }

  /**
   * Allocates at least `bytes` and returns the region's offset; its content is undefined. Throws RangeError when the
   * region does not fit.
   */
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

  /**
   * The memory's size after growing by at least `missing`. An extra eighth keeps growths rare with many small runs.
   */
  #grown(missing: number): number {
    const current = this.bytesReserved;
    const wanted = Math.min(
      current + Math.max(missing, Math.min(current / 8, GROWTH_BYTES_MAX)),
      this.bytesMax,
    );
    return Math.ceil(wanted / PAGE_BYTES) * PAGE_BYTES;
  }

  /** Frees the region at `offset`. Throws RangeError when no region starts there. */
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

  /** Index of the first gap that begins after `offset`. */
  #gapAfter(offset: number): number {
    let low = 0, high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#free[middle] as Gap).offset > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /**
   * Clears the mark that kernels leave, and returns whether there was one: since the last call, a kernel may have stored
   * a number that is not finite. Without a mark, all numbers that kernels stored are finite.
   */
  takeFlag(): boolean {
    // Growing the memory detaches the view.
    if (this.#flag.length === 0) this.#flag = this.i32(FLAG_OFFSET, 1);
    const isSet = this.#flag[0] !== 0;
    if (isSet) this.#flag[0] = 0;
    return isSet;
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

  /** The module's kernel on this memory; each module is instantiated once. */
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
