/**
 * Our side of the kernel rows: the rule of a built-in optimizer, compiled, on an arena of its own; scalars included, HTTP and
 * session left out (service.ts measures those).
 */
import { Arena } from "../kernels/arena.ts";
import { Program } from "../kernels/compile.ts";
import { evaluateScalars, runCompiled } from "../kernels/plan.ts";
import { type Config, parseConfig } from "../src/families/family.ts";
import { optimizers } from "../src/families/optimizers/mod.ts";
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

const MEMBERS: Readonly<Record<DenseRule, { class_name: string; config: Config }>> = {
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

/** An optimizer's rule with the numbers that its lines need, found as a session would find them. */
function ruleOf(name: DenseRule) {
  const { member, given } = optimizers.read(MEMBERS[name]);
  const { config } = member.construct(parseConfig(member, given), given, "");
  const uniforms: Record<string, number> = {};
  for (const [key, value] of Object.entries(config)) {
    if (typeof value === "number") uniforms[member.symbols?.[key] ?? key] = value;
  }
  return { rule: member.rule(config, config), uniforms };
}

/** One dense step a call; with `clipNorm` also the global norm, whose factor is fused into the step's kernel. */
export function kernelStepper(work: DenseWork, options: { clipNorm?: number } = {}): Stepper {
  const { clipNorm } = options;
  const { count } = work;
  const { rule, uniforms } = ruleOf(work.rule);
  const arena = new Arena({ bytesMax: (2 + Object.keys(rule.slots).length) * (count * 4 + 64) + 65536 });
  const tensors: Record<string, number> = {};
  for (const [name, initial] of [["w", 0], ["g", 0], ...Object.entries(rule.slots)] as [string, number][]) {
    tensors[name] = arena.allocate(count * 4);
    arena.f32(tensors[name], count).fill(initial);
  }
  const region = (name: "w" | "g") => arena.f32(tensors[name] as number, count);
  region("w").set(work.initial);
  region("g").set(work.gradient);

  const scalarLines = rule.scalars ?? [];
  const scalars = new Program(scalarLines, {
    tensors: [],
    stored: [],
    uniforms: [...Object.keys(uniforms), "t", "T"],
  });
  const scalarNames = Object.keys(evaluateScalars(scalars, { ...uniforms, t: 0, T: 1 }));
  const clip = clipNorm === undefined ? [] : ["g = g * clip_factor"];
  const step = new Program([...clip, ...rule.dense], {
    tensors: Object.keys(tensors),
    stored: ["w", ...Object.keys(rule.slots)],
    uniforms: [...Object.keys(uniforms), ...scalarNames, "clip_factor"],
  }).kernel();
  const norm = new Program(["n = norm(g)"], { tensors: ["g"], stored: [], uniforms: [] }).kernel();
  let iterations = 0;
  return {
    name: "stepwell",
    step() {
      const values = { ...uniforms, t: iterations, T: iterations + 1, clip_factor: 1 };
      Object.assign(values, evaluateScalars(scalars, values));
      const call = { tensors, rowCount: 1, rowLength: count };
      if (clipNorm !== undefined) {
        const { n = NaN } = runCompiled(arena, { ...call, kernel: norm, uniforms: {} });
        values.clip_factor = clipNorm / Math.max(n, clipNorm);
      }
      runCompiled(arena, { ...call, kernel: step, uniforms: values });
      iterations += 1;
    },
    values: () => region("w").slice(),
    dispose() {},
  };
}

/** The Euclidean norm of one vector, as a number. */
export function kernelNorm(values: Float32Array): () => number {
  const count = values.length;
  const arena = new Arena({ bytesMax: count * 4 + 65536 });
  const g = arena.allocate(count * 4);
  arena.f32(g, count).set(values);
  const kernel = new Program(["n = norm(g)"], { tensors: ["g"], stored: [], uniforms: [] }).kernel();
  const call = { kernel, tensors: { g }, rowCount: 1, rowLength: count, uniforms: {} };
  return () => runCompiled(arena, call)["n"] ?? NaN;
}
