/**
 * What many clients send, and our side of making one gradient of it: added up as it arrives, or held and combined.
 * The rival (rivals/aggregate/rival.py) makes the same contributions of the same base.
 */
import { Arena } from "../kernels/arena.ts";
import { type Kernel, Program } from "../kernels/compile.ts";
import { runCompiled } from "../kernels/plan.ts";
import { aggregators } from "../src/families/aggregators/mod.ts";
import { gradientValues } from "./data.ts";
import type { Contender } from "./harness.ts";

export interface AggregateWork {
  readonly base: Float32Array<ArrayBuffer>;
  readonly clients: number;
}

export function aggregateWork(count: number, clients: number): AggregateWork {
  return { base: gradientValues(count, 4), clients };
}

/** How far each contribution is turned against the one before: a prime, so that all differ. */
export const TURN = 7919;

/** Client n sends the base turned by n * TURN elements, times 1 + n / 64. */
function write(target: Float32Array, base: Float32Array, n: number): void {
  const start = (n * TURN) % base.length;
  target.set(base.subarray(start));
  target.set(base.subarray(0, start), base.length - start);
  for (let i = 0; i < target.length; i++) target[i] = (target[i] as number) * (1 + n / 64);
}

export interface Aggregation extends Contender {
  result(): Float32Array;
  /** Memory that it works in, in copies of the model. */
  readonly copies: number;
}

const copiesOf = (arena: Arena, { base }: AggregateWork) => arena.bytesReserved / (4 * base.length);

const scope = { tensors: ["acc", "g"], stored: ["acc"], uniforms: ["c"] };
const begin = new Program(["acc = c * g"], scope).kernel();
const add = new Program(["acc = acc + c * g"], scope).kernel();
const divide = new Program(["acc = acc / c"], scope).kernel();

/** What the rivals call weight_of. */
export const WEIGHTED = (client: number) => client % 7 + 1;
export const EQUAL = () => 1;

/** The mean of contributions that come one after the other into one region. Their coming is not measured. */
export function meanAsTheyArrive(work: AggregateWork, weightOf: (client: number) => number): Aggregation {
  const { base, clients } = work;
  const arena = new Arena({ bytesMax: 2 ** 31 });
  const acc = arena.allocate(4 * base.length), g = arena.allocate(4 * base.length);
  const timedCall = (kernel: Kernel, c: number) => {
    const start = performance.now();
    const tensors = { acc, g };
    runCompiled(arena, { kernel, tensors, rowCount: 1, rowLength: base.length, uniforms: { c } });
    return performance.now() - start;
  };
  const mean = () => {
    let ms = 0, total = 0;
    for (let n = 0; n < clients; n++) {
      write(arena.f32(g, base.length), base, n);
      ms += timedCall(n === 0 ? begin : add, weightOf(n));
      total += weightOf(n);
    }
    return ms + timedCall(divide, total);
  };
  return {
    name: "stepwell",
    cost(count) {
      let ms = 0;
      for (let i = 0; i < count; i++) ms += mean();
      return 1000 * ms;
    },
    result: () => arena.f32(acc, base.length).slice(),
    copies: copiesOf(arena, work),
  };
}

/** A holding aggregator on contributions that are all there. */
export function combineHeld(work: AggregateWork, class_name: string, config: object): Aggregation {
  const { base, clients } = work;
  const arena = new Arena({ bytesMax: 2 ** 31 });
  const offsets = Array.from({ length: clients }, (_, n) => {
    const offset = arena.allocate(4 * base.length);
    write(arena.f32(offset, base.length), base, n);
    return offset;
  });
  const result = arena.allocate(4 * base.length);
  const part = aggregators.resolve({ class_name, config });
  const rule = part.member.rule(part.config);
  if (rule.kind !== "hold") throw new Error(`Cannot combine with ${class_name}: it holds nothing`);
  const combine = () => {
    const scratch: number[] = [];
    const allocate = (bytes: number) => {
      const offset = arena.allocate(bytes);
      scratch.push(offset);
      return offset;
    };
    const variables = [{ count: base.length, offsets, result }];
    rule.combine({ arena, variables, weights: offsets.map(() => 1), run: runCompiled, allocate });
    scratch.forEach((offset) => arena.free(offset));
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
      // Scratch comes with the first time.
      return copiesOf(arena, work);
    },
  };
}
