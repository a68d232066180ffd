/**
 * tfjs on its wasm backend, loaded when it is first asked for. What that backend has no (good) kernel for, the cpu backend
 * computes on copies of the tensors, so that a loss never notices.
 *
 * Needs no right to read files or to open connections: the module graph brings the wasm bytes.
 */
import type { Tf } from "../functions/define.ts";

let loaded: Promise<Tf> | undefined;

/** The same for every caller. */
export function loadTfjs(): Promise<Tf> {
  return loaded ??= load();
}

async function load(): Promise<Tf> {
  const tf = await import("@tensorflow/tfjs");
  const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
  const { default: bytes } = await import("@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm", {
    with: { type: "bytes" },
  });
  // Otherwise its first tensor greets on the console.
  tf.enableProdMode();
  const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "application/wasm" }));
  // It wants all three named, and takes the one with SIMD: Deno has no threads for it.
  const names = [
    "tfjs-backend-wasm.wasm",
    "tfjs-backend-wasm-simd.wasm",
    "tfjs-backend-wasm-threaded-simd.wasm",
  ];
  setWasmPaths(Object.fromEntries(names.map((name) => [name, url])), true);
  await tf.setBackend("wasm");
  URL.revokeObjectURL(url);
  lendKernels(tf);
  return tf;
}

/** What a kernel reads and writes: a tensor without its methods. */
interface Info {
  readonly dataId: object;
  readonly shape: number[];
  readonly dtype: "float32" | "int32" | "bool";
}

interface Backend {
  readSync(dataId: object): Float32Array | Int32Array | Uint8Array;
  write(values: unknown, shape: number[], dtype: string): object;
  disposeData(dataId: object): boolean;
}

type Kernel = (
  call: { inputs: Record<string, Info | Info[]>; attrs: unknown; backend: Backend },
) => Info | Info[];

/**
 * Kernels of the wasm backend that are wrong: at small numbers (the sign of 1e-7 is 0 there, and so is log1p), at large
 * ones, or where NaN is to stay NaN.
 */
const WRONG = new Set(["ClipByValue", "Cos", "Log1p", "Relu6", "Sign", "Sin"]);

/** Registers every kernel of the cpu backend that the wasm backend lacks or has wrong, between copies in and out. */
function lendKernels(tf: Tf): void {
  const own = new Set(tf.getKernelsForBackend("wasm").map(({ kernelName }) => kernelName));
  const cpu = tf.engine().findBackend("cpu") as unknown as Backend;
  for (const { kernelName, kernelFunc } of tf.getKernelsForBackend("cpu")) {
    if (own.has(kernelName) && !WRONG.has(kernelName)) continue;
    if (own.has(kernelName)) tf.unregisterKernel(kernelName, "wasm");
    tf.registerKernel({
      kernelName,
      backendName: "wasm",
      kernelFunc: lent(kernelFunc as unknown as Kernel, cpu) as never,
    });
  }
}

function lent(kernel: Kernel, cpu: Backend): Kernel {
  return ({ inputs, attrs, backend: wasm }) => {
    const move = ({ dataId, shape, dtype }: Info, from: Backend, to: Backend): Info => ({
      dataId: to.write(from.readSync(dataId).slice(), shape, dtype),
      shape,
      dtype,
    });
    const each = <T>(value: T | T[], change: (one: T) => T) =>
      Array.isArray(value) ? value.map(change) : change(value);
    const borrowed: Info[] = [];
    const lend = (info: Info) => {
      const copy = move(info, wasm, cpu);
      borrowed.push(copy);
      return copy;
    };
    const given = Object.entries(inputs).flatMap(([name, value]) => value ? [[name, each(value, lend)]] : []);
    const result = kernel({ inputs: Object.fromEntries(given), attrs, backend: cpu });
    const back = each(result, (info) => move(info, cpu, wasm));
    for (const { dataId } of [...borrowed, ...(Array.isArray(result) ? result : [result])]) {
      cpu.disposeData(dataId);
    }
    return back;
  };
}
