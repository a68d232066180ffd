/**
 * Our side of the kernel rows: the compiled rule of a built-in optimizer on its own arena, scalars included. HTTP and
 * the session are not part of it; service.ts measures those.
 */
import { Arena } from "../kernels/arena.ts";
import { Program } from "../kernels/compiler/compile.ts";
import { sumSquares } from "../kernels/routines/ingest.ts";
import { evaluateScalars, runCompiled } from "../kernels/compiler/runner.ts";
import { learningRate, parseOptimizer, ruleOf, uniforms } from "../src/families/optimizers/optimizer.ts";
import {
  BETA_1,
  BETA_2,
  type DenseRule,
  type DenseWork,
  EPSILON,
  INITIAL_ACCUMULATOR,
  LEARNING_RATE,
  MOMENTUM,
  type Stepper,
} from "./work.ts";

export const MEMBERS: Readonly<Record<DenseRule, { class_name: string; config: Record<string, number> }>> = {
  SGD: { class_name: "SGD", config: { learning_rate: LEARNING_RATE } },
  Momentum: { class_name: "SGD", config: { learning_rate: LEARNING_RATE, momentum: MOMENTUM } },
  Adam: {
    class_name: "Adam",
    config: { learning_rate: LEARNING_RATE, beta_1: BETA_1, beta_2: BETA_2, epsilon: EPSILON },
  },
  Adagrad: {
    class_name: "Adagrad",
    config: {
      learning_rate: LEARNING_RATE,
      initial_accumulator_value: INITIAL_ACCUMULATOR,
      epsilon: EPSILON,
    },
  },
};

/**
 * One dense step per call. With `clipNorm` it also clips by the global norm, with the factor fused into the kernel.
 */
export function kernelStepper(work: DenseWork, options: { clipNorm?: number } = {}): Stepper {
  const { clipNorm } = options;
  const { count } = work;
  const { optimizer } = parseOptimizer(MEMBERS[work.rule]);
  const rule = ruleOf(optimizer);
  const arena = new Arena({ bytesMax: 2 ** 32 });
  const tensors: Record<string, number> = {};
  for (const [name, initial] of Object.entries({ w: 0, ...rule.slots, g: 0 })) {
    const offset = arena.allocate(count * 4);
    arena.f32(offset, count).fill(initial);
    tensors[name] = offset;
  }
  const region = (name: "w" | "g") => arena.f32(tensors[name] as number, count);
  region("w").set(work.initial);
  region("g").set(work.gradient);

  const numbers = { ...uniforms(optimizer), learning_rate: learningRate(optimizer, 0), t: 0, T: 1 };
  const names = Object.keys(numbers);
  const scalars = new Program(rule.scalars ?? [], { tensors: [], stored: [], uniforms: names });
  const scalarNames = Object.keys(evaluateScalars(scalars, numbers));
  const clip = clipNorm === undefined ? [] : ["g = g * clip_factor"];
  const step = new Program([...clip, ...rule.dense], {
    tensors: Object.keys(tensors),
    stored: ["w", ...Object.keys(rule.slots)],
    uniforms: [...names, ...scalarNames, "clip_factor"],
  }).kernel();
  const values = { ...numbers, clip_factor: 1 };
  return {
    name: "stepwell",
    step() {
      Object.assign(values, evaluateScalars(scalars, values));
      if (clipNorm !== undefined) {
        const norm = Math.sqrt(sumSquares(arena, tensors["g"] as number, count));
        values.clip_factor = clipNorm / Math.max(norm, clipNorm);
      }
      runCompiled(arena, { kernel: step, tensors, rowCount: 1, rowLength: count, uniforms: values });
      values.t += 1;
      values.T += 1;
    },
    values: () => region("w").slice(),
    dispose() {},
  };
}

/** Returns a function that computes the Euclidean norm of `values`. */
export function kernelNorm(values: Float32Array): () => number {
  const arena = new Arena({ bytesMax: 2 ** 32 });
  const g = arena.allocate(values.length * 4);
  arena.f32(g, values.length).set(values);
  return () => Math.sqrt(sumSquares(arena, g, values.length));
}
