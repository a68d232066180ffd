/**
 * The contributions of many clients, and our side of combining them into one gradient: added up as they arrive, or
 * kept and combined. The rival (rivals/aggregate/rival.py) makes the same contributions from the same base.
 */
import { Arena } from "../kernels/arena.ts";
import { runCompiled } from "../kernels/compiler/runner.ts";
import { aggregators } from "../src/families/aggregators/mod.ts";
import { optimizers } from "../src/families/optimizers/mod.ts";
import { ruleOf } from "../src/families/optimizers/optimizer.ts";
import { dense, EDITION } from "../src/run/rounds/accumulator.ts";
import { Memory } from "../src/run/tensors/memory.ts";
import { Round } from "../src/run/rounds/round.ts";
import { resolveSpec } from "../src/run/spec/spec.ts";
import { ArenaStaging } from "../src/run/staging/staging.ts";
import { RunState } from "../src/run/tensors/state.ts";
import { gradientValues } from "./data.ts";
import type { Contender } from "./harness.ts";

export interface AggregateWork {
  readonly base: Float32Array<ArrayBuffer>;
  readonly clients: number;
}

export function aggregateWork(count: number, clients: number): AggregateWork {
  return { base: gradientValues(count, 4), clients };
}

/**
 * The number of elements by which each contribution is rotated against the one before: a prime, so that all differ.
 */
export const TURN = 7919;

/** Client n sends the base rotated by n * TURN elements, times 1 + n / 64. */
function write(target: Float32Array, base: Float32Array, n: number): void {
  const start = (n * TURN) % base.length;
  target.set(base.subarray(start));
  target.set(base.subarray(0, start), base.length - start);
  for (let i = 0; i < target.length; i++) target[i] = (target[i] as number) * (1 + n / 64);
}

export interface Aggregation extends Contender {
  result(): Float32Array;
  /** The memory that the aggregation needs, in copies of the model. */
  readonly copies: number;
}

/** The weight of a client's contribution; weight_of in the rival. */
export const WEIGHTED = (client: number) => client % 7 + 1;

/**
 * The mean of contributions that arrive one after the other, as a round of a run adds them up. Only the adding is
 * measured, neither the arrival of contributions nor the use of the mean.
 */
export function meanAsTheyArrive(
  { base, clients }: AggregateWork,
  { class_name, weightOf }: {
    readonly class_name: "Mean" | "WeightedMean";
    readonly weightOf: (client: number) => number;
  },
): Aggregation {
  const bytes = 4 * base.length;
  const memory = new Memory({ bytesMax: 2 ** 31 });
  const spec = resolveSpec({
    optimizer: "SGD",
    variables: [{ name: "w", shape: [base.length] }],
    aggregation: { mode: "round", quorum: clients, aggregator: class_name },
  }, optimizers);
  const state = new RunState(memory, spec, ruleOf(spec.optimizer));
  const { arena } = state, variable = state.variable("w");
  const round = new Round({ state, memory, runner: runCompiled, aggregation: spec.aggregation }, 0);
  const result = new Float32Array(base.length), own = arena.bytesUsed;
  let bytesMost = 0;
  const stage = () =>
    new ArenaStaging({ kind: "gradients", memory, state, keepsBytes: false, released() {} });
  const timedMs = (work: () => void) => {
    const start = performance.now();
    work();
    return performance.now() - start;
  };
  const contribute = (n: number) => {
    const staging = stage(), values = staging.allocate(bytes);
    write(arena.f32(values, base.length), base, n);
    staging.apart.set("w", dense(variable, values, 0));
    bytesMost = Math.max(bytesMost, arena.bytesUsed - own);
    const ms = timedMs(() => {
      round.join(staging, { weight: weightOf(n) }, { acceptedAt: 0, sequence: n, version: 0 });
    });
    staging.release();
    return ms;
  };
  const mean = () => {
    let ms = 0;
    for (let n = 0; n < clients; n++) ms += contribute(n);
    const combined = stage();
    ms += timedMs(() => round.combine(combined, EDITION));
    result.set(arena.f32(combined.tensors.get("w")?.values as number, base.length));
    combined.release();
    round.end({ kind: "dropped", reason: "it was only measured" });
    return ms;
  };
  return {
    name: "stepwell",
    cost(count) {
      let ms = 0;
      for (let i = 0; i < count; i++) ms += mean();
      return 1000 * ms;
    },
    result: () => result,
    get copies() {
      return bytesMost / bytes;
    },
  };
}

/** An aggregator that needs a list, on contributions that have all arrived. */
export function combineHeld(
  { base, clients }: AggregateWork,
  class_name: string,
  config: object,
): Aggregation {
  const arena = new Arena({ bytesMax: 2 ** 31 });
  const offsets = Array.from({ length: clients }, (_, n) => {
    const offset = arena.allocate(4 * base.length);
    write(arena.f32(offset, base.length), base, n);
    return offset;
  });
  const result = arena.allocate(4 * base.length);
  const part = aggregators.resolve({ class_name, config });
  const rule = part.member.rule(part.config);
  if (rule.kind !== "list") throw new Error(`Cannot combine with ${class_name}: it keeps no list`);
  const combine = () => {
    const scratch: number[] = [];
    const allocate = (bytes: number) => {
      const offset = arena.allocate(bytes);
      scratch.push(offset);
      return offset;
    };
    const variables = [{ count: base.length, offsets, result }];
    rule.combine({ arena, variables, weights: offsets.map(() => 1), runner: runCompiled, allocate });
    scratch.forEach((offset) => arena.release(offset));
  };
  return {
    name: "stepwell",
    cost(count) {
      const start = performance.now();
      for (let i = 0; i < count; i++) combine();
      return 1000 * (performance.now() - start);
    },
    result: () => arena.f32(result, base.length).slice(),
    get copies() {
      // The first call allocates the scratch.
      return arena.bytesReserved / (4 * base.length);
    },
  };
}
