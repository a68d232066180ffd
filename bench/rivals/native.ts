/**
 * The rival without a sandbox: native.c, compiled with `cc -O3 -march=native` when the benchmark starts and called
 * through `Deno.dlopen`. Its arrays are in WebAssembly memories of its own, so they are on the same kind of pages as
 * ours.
 *
 * Flags: no contraction to fused multiply-add, so that results stay equal bit for bit; no errno, so that a square
 * root is one instruction. Neither flag slows the rival: these loops are bound by memory, divisions and roots.
 */
import {
  BETA_1,
  BETA_2,
  type DenseWork,
  EPSILON,
  INITIAL_ACCUMULATOR,
  LEARNING_RATE,
  MOMENTUM,
  type Stepper,
} from "../work.ts";

const FLAGS = ["-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC"];

const SYMBOLS = {
  sgd: { parameters: ["buffer", "buffer", "i64", "f32"], result: "void" },
  momentum: { parameters: ["buffer", "buffer", "buffer", "i64", "f32", "f32"], result: "void" },
  adam: {
    parameters: ["buffer", "buffer", "buffer", "buffer", "i64", "f32", "f32", "f32", "f32"],
    result: "void",
  },
  adagrad: { parameters: ["buffer", "buffer", "buffer", "i64", "f32", "f32"], result: "void" },
  sum_of_squares: { parameters: ["buffer", "i64"], result: "f64" },
} as const;

export type Native = Deno.DynamicLibrary<typeof SYMBOLS>;

/** Compiles and opens native.c; null when there is no C compiler. */
export async function openNative(): Promise<Native | null> {
  const folder = await Deno.makeTempDir({ prefix: "stepwell-bench-" });
  const library = `${folder}/native.so`;
  const source = new URL("./native.c", import.meta.url).pathname;
  try {
    const compiler = new Deno.Command("cc", { args: [...FLAGS, "-o", library, source, "-lm"] });
    const { success, stderr } = await compiler.output();
    if (!success) throw new Error(`Cannot compile native.c: ${new TextDecoder().decode(stderr)}`);
    return Deno.dlopen(library, SYMBOLS);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  } finally {
    // An open library keeps its pages, so the file is no longer needed.
    await Deno.remove(folder, { recursive: true });
  }
}

export function nativeStepper(native: Native, work: DenseWork): Stepper {
  const { count } = work;
  const [w, g, first, second] = wasmArrays(count, 4);
  w.set(work.initial);
  g.set(work.gradient);
  if (work.rule === "Adagrad") first.fill(INITIAL_ACCUMULATOR);
  const { fround, sqrt } = Math;
  const n = BigInt(count), c = native.symbols;
  let steps = 0;
  const step = {
    SGD: () => c.sgd(w, g, n, LEARNING_RATE),
    Momentum: () => c.momentum(w, g, first, n, LEARNING_RATE, MOMENTUM),
    Adagrad: () => c.adagrad(w, g, first, n, LEARNING_RATE, EPSILON),
    Adam() {
      steps += 1;
      const p1 = fround(Math.pow(fround(BETA_1), steps)), p2 = fround(Math.pow(fround(BETA_2), steps));
      const root = fround(sqrt(fround(1 - p2)));
      const alpha = fround(fround(fround(LEARNING_RATE) * root) / fround(1 - p1));
      c.adam(w, g, first, second, n, alpha, fround(1 - fround(BETA_1)), fround(1 - fround(BETA_2)), EPSILON);
    },
  }[work.rule];
  return { name: "native C", step, values: () => w.slice(), dispose() {} };
}

/** The Euclidean norm of a copy of `values`, in double precision. */
export function nativeNorm(native: Native, values: Float32Array): () => number {
  const [copy] = wasmArrays(values.length, 1);
  copy.set(values);
  const n = BigInt(values.length);
  return () => Math.sqrt(native.symbols.sum_of_squares(copy, n));
}

/** `arrays` regions of `count` floats in one fresh memory, 64-byte aligned like the arena's, all pages touched. */
function wasmArrays(count: number, arrays: 1): [Float32Array<ArrayBuffer>];
function wasmArrays(count: number, arrays: 4): [
  Float32Array<ArrayBuffer>,
  Float32Array<ArrayBuffer>,
  Float32Array<ArrayBuffer>,
  Float32Array<ArrayBuffer>,
];
function wasmArrays(count: number, arrays: number): Float32Array<ArrayBuffer>[] {
  const blockBytes = Math.ceil((count * 4) / 64) * 64;
  const memory = new WebAssembly.Memory({ initial: Math.ceil((blockBytes * arrays) / 65536) + 1 });
  return Array.from({ length: arrays }, (_, k) => {
    const region = new Float32Array(memory.buffer as ArrayBuffer, k * blockBytes, count);
    region.fill(0);
    return region;
  });
}
