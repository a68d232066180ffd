/**
 * The memory limit as a rival: a WebAssembly loop that reads and writes the same bytes as an optimizer step and
 * computes nothing. The time that a kernel takes beyond this is arithmetic; no kernel can take less.
 *
 * The module is written here as bytes and does not use kernels/, so that a weakness of the emitter cannot hide in its
 * own yardstick. The memory holds `arrays` regions of `count` floats, each at a multiple of 64 bytes.
 *
 *     loop: load 4 vectors of every array; array[k] := array[k + 1] for the written ones; next 64 bytes
 */
import type { Stepper } from "../work.ts";

const I32 = 0x7f, V128 = 0x7b;
const VECTORS = 4;

/** The number of arrays that a step reads, and the number of these (the first ones) that it writes. */
export interface Traffic {
  readonly reads: number;
  readonly writes: number;
}

/** Reads and writes of the dense rules: the variable and slots are read and written, the gradient is only read. */
export const TRAFFIC = {
  SGD: { reads: 2, writes: 1 },
  Momentum: { reads: 3, writes: 2 },
  Adam: { reads: 4, writes: 3 },
  Adagrad: { reads: 3, writes: 2 },
  Norm: { reads: 1, writes: 0 },
} as const satisfies Record<string, Traffic>;

export function sameBytes(traffic: Traffic, count: number): Stepper {
  const blockBytes = Math.ceil((count * 4) / 64) * 64;
  const bytes = blockBytes * traffic.reads;
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / 65536) + 1 });
  // Touch every page, and fill each array with its own byte, so that a test can see the arrays move.
  for (let k = 0; k < traffic.reads; k += 1) {
    new Uint8Array(memory.buffer, k * blockBytes, blockBytes).fill(k + 1);
  }
  const module = new WebAssembly.Module(moduleBytes(traffic));
  const { move } = new WebAssembly.Instance(module, { env: { memory } }).exports;
  if (typeof move !== "function") {
    throw new Error("Cannot measure the memory limit: the module has no export");
  }
  const bases = Array.from({ length: traffic.reads }, (_, k) => k * blockBytes);
  return {
    name: "same bytes, no maths",
    step: () => move(...bases, blockBytes),
    values: () => new Float32Array(memory.buffer, 0, count).slice(),
    dispose() {},
  };
}

/** `move(base 0, …, base reads-1, bytes)`; it returns a meaningless i32 that keeps the loads alive. */
function moduleBytes({ reads, writes }: Traffic): Uint8Array<ArrayBuffer> {
  const bytesLeft = reads, accumulator = reads + 1, loaded = reads + 2;
  const code: number[] = [0x03, 0x40]; // loop
  for (let vector = 0; vector < VECTORS; vector += 1) {
    for (let k = 0; k < reads; k += 1) {
      code.push(0x20, k, 0xfd, 0x00, 4, vector * 16, 0x21, loaded + vector * reads + k); // local := v128.load
    }
  }
  for (let vector = 0; vector < VECTORS; vector += 1) {
    const value = (k: number) => loaded + vector * reads + (k % reads);
    for (let k = 0; k < writes; k += 1) {
      code.push(0x20, k, 0x20, value(k + 1), 0xfd, 0x0b, 4, vector * 16); // v128.store
    }
    // The first array is not stored anywhere; folding it into the accumulator keeps its load.
    code.push(0x20, accumulator, 0x20, value(0), 0xfd, 0x51, 0x21, accumulator); // v128.xor
  }
  for (let k = 0; k < reads; k += 1) code.push(0x20, k, 0x41, 0xc0, 0x00, 0x6a, 0x21, k); // base += 64
  code.push(0x20, bytesLeft, 0x41, 0xc0, 0x00, 0x6b, 0x22, bytesLeft, 0x0d, 0, 0x0b); // br_if bytesLeft -= 64
  code.push(0x20, accumulator, 0xfd, 0x1b, 0, 0x0b); // i32x4.extract_lane 0
  const locals = [1, 1 + VECTORS * reads, V128];
  const body = [...locals, ...code];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [1, 0x60, reads + 1, ...Array<number>(reads + 1).fill(I32), 1, I32]),
    ...section(2, [1, ...name("env"), ...name("memory"), 0x02, 0x00, 0x00]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name("move"), 0x00, 0]),
    ...section(10, [1, ...leb(body.length), ...body]),
  ]);
}

const section = (id: number, body: number[]) => [id, ...leb(body.length), ...body];
const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];

/** Unsigned LEB128. */
function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}
