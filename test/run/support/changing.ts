/** Random changes of runs, for laws that make the same change to a run and to its twin and compare them. */
import fc from "fast-check";
import { StepwellError } from "../../../src/errors.ts";
import type { Registry } from "../../../src/run/registry/registry.ts";
import type { Session } from "../../../src/run/session/session.ts";
import type { WireDtype } from "../../../src/tensor.ts";
import { checkpointOf, restore } from "../checkpoint/support/checkpoints.ts";
import { numbers } from "./harness.ts";
import { entries, quantize, send } from "../staging/support/packed.ts";
import { SHAPES, sizeOf } from "./variants.ts";

const DTYPES = ["F32", "F16", "BF16", "F64"] as const;
type FloatDtype = typeof DTYPES[number];

export type Change =
  | {
    readonly do: "step";
    readonly seed: number;
    readonly special: boolean;
    /** By variable: the form of its gradient. */
    readonly forms: readonly {
      readonly form: "dense" | "sparse" | "blocks" | "flat" | "null" | "absent";
      readonly dtype: FloatDtype;
    }[];
    readonly hyperparameters: Readonly<Record<string, unknown>> | undefined;
    readonly key?: number | undefined;
    readonly dryRun: boolean;
  }
  | {
    readonly do: "variables";
    readonly seed: number;
    readonly count: number;
    readonly dtype: FloatDtype;
    readonly key?: number | undefined;
  }
  | {
    readonly do: "weights";
    readonly seed: number;
    readonly iterations: number;
    readonly key?: number | undefined;
  }
  | {
    readonly do: "patch";
    readonly config: Readonly<Record<string, unknown>>;
    readonly key?: number | undefined;
  }
  | { readonly do: "restore" };

/** Some are refused by some optimizers, for the run and for its twin. */
const PATCHES: readonly Readonly<Record<string, unknown>>[] = [
  { learning_rate: 0.05 },
  { lr: -0 },
  { learning_rate: { class_name: "CosineDecay", config: { initial_learning_rate: 0.2, decay_steps: 5 } } },
  {
    learning_rate: {
      class_name: "PiecewiseConstantDecay",
      config: { boundaries: [1, 3], values: [0.3, 0.2, 0.1] },
    },
  },
  { amsgrad: true },
  { amsgrad: false },
  { centered: true },
  { momentum: 0.5 },
  { beta_1: 0.8, epsilon: 0 },
  { lr: 0.05, weight_decay: 0.2 },
  { betas: [0.8, 0.99] },
  { maximize: true },
  { clipnorm: 0.5 },
  { clipnorm: null },
  { global_clipnorm: 1 },
  { clipvalue: 0.25 },
  { nonsense: 1 },
];

const key = fc.option(fc.nat({ max: 9 }), { nil: undefined });

const step: fc.Arbitrary<Change> = fc.record({
  do: fc.constant("step"),
  seed: fc.nat({ max: 1000 }),
  special: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, {
    weight: 1,
    arbitrary: fc.constant(true),
  }),
  forms: fc.array(
    fc.record({
      form: fc.constantFrom("dense", "dense", "sparse", "blocks", "flat", "null", "absent"),
      dtype: fc.constantFrom(...DTYPES),
    }),
    { minLength: Object.keys(SHAPES).length, maxLength: Object.keys(SHAPES).length },
  ),
  hyperparameters: fc.option(
    fc.constantFrom({ learning_rate: 0.3 }, { learning_rate: -0 }, { beta_1: 0.1 }),
    {
      freq: 6,
      nil: undefined,
    },
  ),
  key,
  dryRun: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});

export const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 6, arbitrary: step },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("variables"),
      seed: fc.nat({ max: 1000 }),
      count: fc.nat({ max: Object.keys(SHAPES).length }),
      dtype: fc.constantFrom(...DTYPES),
      key,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("weights"),
      seed: fc.nat({ max: 1000 }),
      iterations: fc.constantFrom(0, 3, 2 ** 24 + 1, 1.5),
      key,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("patch"), config: fc.constantFrom(...PATCHES), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restore") }) },
);

/** Makes a change as a request does, and returns the answer or the code of the refusal. */
export async function make(registry: Registry, id: string, what: Change): Promise<unknown> {
  try {
    const session = registry.get(id);
    if (what.do === "step") return stepOf(session, what);
    if (what.do === "variables") return setSome(session, what);
    if (what.do === "patch") return session.patchOptimizer(what.config, { key: keyOf(what.key) });
    if (what.do === "restore") return (await restore(registry, id, checkpointOf(session))).version;
    const { tensors } = session.weights();
    return session.setWeights([
      what.iterations,
      ...tensors.map(({ shape, values }, n) => ({
        shape,
        values: Float32Array.from(numbers(values.length, { seed: what.seed + n }), Math.abs),
      })),
    ], keyOf(what.key));
  } catch (error) {
    if (error instanceof StepwellError) return error.code;
    throw error;
  }
}

const keyOf = (key: number | undefined, seed = 0) =>
  key === undefined ? undefined : { key: `key-${key}`, hash: `hash-${key}`, at: 1000 * seed };

function stepOf(session: Session, what: Change & { do: "step" }) {
  const { seed, special, forms, hyperparameters, key, dryRun } = what;
  const staging = session.stage("gradients");
  try {
    Object.entries(SHAPES).forEach(([name, shape], n) => {
      const { form = "dense", dtype = "F32" } = forms[n] ?? {};
      const values = { seed: 1000 * seed + n, special };
      if (form === "absent") return;
      if (form === "null") return staging.none(name);
      if (form === "blocks") {
        const packed = quantize(numbers(sizeOf(shape), values), { shape, block: 1 + seed % 9 });
        return send(staging, name, packed, { size: 13 });
      }
      if (form === "flat") {
        const indices = Array.from({ length: Math.ceil(sizeOf(shape) / 2) }, (_, n) => 2 * n);
        const packed = entries(numbers(indices.length, values), { indices, dtype, wide: seed % 2 === 1 });
        return send(staging, name, packed, { size: 13 });
      }
      if (form === "dense" || shape.length === 0) {
        return pour(staging.dense(name, { dtype, shape }), encode(numbers(sizeOf(shape), values), dtype));
      }
      const rows = shape[0] as number;
      const indices = rows === 0 ? [] : [1, 0, 1, 2, 0].map((row) => (row * (seed + 1)) % rows);
      const sizes = [indices.length, ...shape.slice(1)];
      const type = seed % 2 ? "I64" : "I32";
      const sinks = staging.sparse(name, { dtype: type, shape: [indices.length] }, { dtype, shape: sizes });
      pour(
        sinks.indices,
        new Uint8Array(
          type === "I64" ? BigInt64Array.from(indices, BigInt).buffer : Int32Array.from(indices).buffer,
        ),
      );
      pour(sinks.values, encode(numbers(sizeOf(sizes), values), dtype));
    });
    return session.applyGradients(staging, {
      aggregate: true,
      dryRun,
      hyperparameters,
      key: keyOf(key, seed),
    });
  } finally {
    staging.release();
  }
}

function setSome(session: Session, { seed, count, dtype, key }: Change & { do: "variables" }): void {
  const staging = session.stage("values");
  try {
    for (const [name, shape] of Object.entries(SHAPES).slice(0, count)) {
      pour(staging.dense(name, { dtype, shape }), encode(numbers(sizeOf(shape), { seed }), dtype));
    }
    session.setVariables(staging, keyOf(key));
  } finally {
    staging.release();
  }
}

/** Sends pieces of an odd length, as with real bodies. */
function pour(sink: { write(bytes: Uint8Array): void; close(): void }, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += 13) sink.write(bytes.subarray(at, at + 13));
  sink.close();
}

/** Encodes float32 numbers in another dtype; float64 gets digits that float32 does not have. */
function encode(values: readonly number[], dtype: WireDtype): Uint8Array {
  if (dtype === "F64") return new Uint8Array(Float64Array.from(values, (x) => x * (1 + 2 ** -40)).buffer);
  if (dtype === "F16") return new Uint8Array(Float16Array.from(values).buffer);
  const f32 = Float32Array.from(values);
  if (dtype === "F32") return new Uint8Array(f32.buffer);
  return new Uint8Array(new Uint16Array(f32.buffer).filter((_, n) => n % 2 === 1).slice().buffer);
}
