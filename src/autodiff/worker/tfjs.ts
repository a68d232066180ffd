/**
 * Loads tfjs with its wasm backend on first use. Operations for which that backend has no correct kernel run on the
 * cpu backend with copies of the tensors, transparently for a loss.
 *
 * Needs no permission to read files or to open connections: the module graph contains the wasm bytes.
 */
import type { Tf } from "../functions/define.ts";

let loaded: Promise<Tf> | undefined;

/** Returns the same instance to every caller. */
export function loadTfjs(): Promise<Tf> {
  return loaded ??= load();
}

async function load(): Promise<Tf> {
  const tf = await import("@tensorflow/tfjs");
  const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
  const { default: bytes } = await import("@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm", {
    with: { type: "bytes" },
  });
  // Otherwise tfjs writes a greeting to the console with its first tensor.
  tf.enableProdMode();
  const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "application/wasm" }));
  // tfjs requires all three paths and uses the one with SIMD, because Deno has no threads for it.
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

/** The operand of a kernel: a tensor without its methods. */
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
 * Kernels of the wasm backend that are wrong for small numbers (sign and log1p of 1e-7 are 0), for large numbers, or
 * for NaN, which should stay NaN.
 */
const WRONG = new Set(["ClipByValue", "Cos", "Log1p", "Relu6", "Sign", "Sin"]);

/** Registers kernels of the cpu backend, with copies in and out, where the wasm backend's are missing or wrong. */
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
