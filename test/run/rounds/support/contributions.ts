/** Random contributions for laws of rounds: ordinary numbers, dense and sparse, as JSON and as files. */
import fc from "fast-check";
import type { Arena } from "../../../../kernels/arena.ts";
import { atOnce } from "../../../../src/slices.ts";
import { runCompiled } from "../../../../kernels/compiler/runner.ts";
import type { AggregationSpec, RunSpec } from "../../../../src/run/api/run_spec.ts";
import type { StepOptions } from "../../../../src/run/api/steps.ts";
import type { Session } from "../../../../src/run/session/session.ts";
import { headerOf, layingOut, type WritableTensor } from "../../../../src/wire/safetensors_writer.ts";
import { numbers, open, send, tensor } from "../../support/harness.ts";
import { sizeOf } from "../../support/variants.ts";

export const SHAPES: Readonly<Record<string, readonly number[]>> = { a: [6, 2], b: [5], c: [] };

export interface Drawn {
  readonly seed: number;
  readonly weight: number;
  /** Tensors by variable. */
  readonly forms: readonly ("dense" | "sparse" | "absent")[];
}

const weight = fc.constantFrom(1, 2, 7.5, 0.3);
const drawn = (...forms: Drawn["forms"][number][]): fc.Arbitrary<Drawn> =>
  fc.record({
    seed: fc.nat({ max: 1_000_000 }),
    weight,
    forms: fc.tuple(fc.constant("dense" as const), fc.constantFrom(...forms), fc.constantFrom(...forms)),
  });

/** Dense tensors for all variables, which every aggregator accepts. */
export const whole = drawn("dense");
/** For some variables, rows or no gradient at all. */
export const partial = fc.oneof(whole, drawn("dense", "sparse", "absent"));

export interface GivenTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: number[];
  readonly indices?: number[];
}

export function tensorsOf({ seed, forms }: Drawn): GivenTensor[] {
  return Object.entries(SHAPES).flatMap(([name, shape], n) => {
    const form = forms[n], own = { seed: 3 * seed + n };
    if (form === "absent") return [];
    const [rows] = shape;
    if (form === "dense" || rows === undefined) return [{ name, shape, values: numbers(sizeOf(shape), own) }];
    const indices = [seed, 3 * seed + 1, seed, 5 * seed + 2].map((row) => row % rows);
    const size = [indices.length, ...shape.slice(1)];
    return [{ name, shape: size, values: numbers(sizeOf(size), own), indices }];
  });
}

/** Sends a contribution as JSON and returns the answer. */
export function give(session: Session, drawn: Drawn, options: Partial<StepOptions> = {}) {
  const gradients = tensorsOf(drawn).map(({ name, shape, values, indices }) => {
    const content = tensor(shape, values);
    return [name, indices ? { indices, values: content } : content];
  });
  return send(session, Object.fromEntries(gradients), { weight: drawn.weight, ...options });
}

/** A safetensors file. */
export function fileOf(tensors: readonly GivenTensor[], metadata: Readonly<Record<string, string>> = {}) {
  const entries = tensors.flatMap(({ name, shape, values, indices }): WritableTensor[] => {
    const content = Float32Array.from(values);
    if (!indices) return [{ name, shape, values: content }];
    return [
      { name: `${name}#indices`, shape: [indices.length], values: BigInt64Array.from(indices, BigInt) },
      { name: `${name}#values`, shape, values: content },
    ];
  });
  const layout = atOnce(layingOut(entries)), { ordered } = layout, bytes = headerOf(layout, metadata);
  const parts = [bytes, ...ordered.map(({ values }) => new Uint8Array(values.buffer))];
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

export function roundSpec(aggregation: AggregationSpec, more: Partial<RunSpec> = {}): RunSpec {
  return {
    id: "r",
    optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
    variables: Object.entries(SHAPES).map(([name, shape]) => ({ name, shape, initial: 0.5 })),
    aggregation,
    ...more,
  };
}

/** A run in memory, and the bytes in use in its arena. */
export async function measured(spec: RunSpec) {
  const arenas = new Set<Arena>();
  const session = await open(spec, {
    runner: (arena, call) => {
      arenas.add(arena);
      return runCompiled(arena, call);
    },
  });
  // gather() gives access to the arena: the first variable has rows.
  session.gather(spec.variables[0]?.name as string, [0], { bytesMax: 1e6 });
  return { session, used: () => [...arenas].reduce((sum, { bytesUsed }) => sum + bytesUsed, 0) };
}
