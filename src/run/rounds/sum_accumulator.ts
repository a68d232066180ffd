/**
 * An accumulator that adds contributions up as they arrive, in float32 and in order of acceptance. It needs at most
 * two dense regions per variable. The first contribution's region becomes the sum. A contribution cannot be
 * subtracted again, because float32 additions lose bits.
 *
 * Every second contribution waits for the next one, so that one pass adds both: the sum is read and written half as
 * often. If memory is short, it is added alone, which gives the same bits.
 *
 * Rows of sparse contributions are kept as lists, which are merged when they have many rows. If a variable has dense
 * and sparse contributions, the rows are added to the dense sum last.
 */
import type { AggregatorRule } from "../../families/aggregators/aggregator.ts";
import {
  accumulate,
  type Accumulator,
  type AccumulatorParts,
  type Addend,
  type Combined,
  dense,
  type Joining,
  type Noisy,
  overflowsOfMean,
  scale,
  setAverage,
} from "./accumulator.ts";
import type { Releasable } from "../../releasable.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import { addRows, type Allocator, mergeRows, type RowList } from "./merge_rows.ts";
import { factorOf } from "./pseudo_gradient.ts";
import type { Staged } from "../staging/staged.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { VariableState } from "../tensors/state.ts";

interface Sum {
  readonly variable: VariableState;
  dense: number | undefined;
  /** A dense contribution that is not in the sum yet. */
  waiting: Addend | undefined;
  rows: RowList[];
  /** Count of the contributions that have this variable, and the sum of their weights. */
  count: number;
  weight: number;
  /** No element of the sum is greater; NaN if that is not known. */
  bound: number;
}

type SumRule = Extract<AggregatorRule, { kind: "sum" }>;

export class SumAccumulator implements Accumulator {
  readonly #parts: AccumulatorParts;
  readonly #rule: SumRule;
  readonly #sums = new Map<string, Sum>();
  readonly #allocator: Allocator;
  /** Lets memory reclaim the waiting regions. */
  #borrowed: Releasable | undefined;

  constructor(parts: AccumulatorParts, rule: SumRule) {
    this.#parts = parts;
    this.#rule = rule;
    const { memory, state: { arena } } = parts;
    this.#allocator = {
      allocate: (bytes) => memory.allocate(arena, bytes),
      release: (offset) => memory.release(arena, offset),
    };
  }

  join({ staging, pseudoGradient }: Joining): void {
    const { gradients, averages, weight, divisor } = pseudoGradient;
    const own = factorOf(pseudoGradient, this.#rule.divide);
    for (const staged of gradients) this.#add(staging, staged, { factor: own, weight: divisor });
    for (const staged of averages) this.#add(staging, staged, { factor: weight, weight });
  }

  #add(staging: ArenaStaging, staged: Staged, { factor, weight }: { factor: number; weight: number }): void {
    const { variable, values, count } = staged;
    let sum = this.#sums.get(variable.name);
    if (!sum) {
      sum = { variable, dense: undefined, waiting: undefined, rows: [], count: 0, weight: 0, bound: 0 };
      this.#sums.set(variable.name, sum);
    }
    sum.count += 1;
    sum.weight += weight;
    sum.bound += Math.abs(factor) * Math.sqrt(staged.squares);
    if (staged.kind === "dense" && sum.dense !== undefined) {
      if (sum.waiting) this.#addWaiting(sum, { values, factor });
      else {
        staging.handOver(values);
        sum.waiting = { values, factor };
        this.#borrowed = this.#parts.memory.borrow(this.#parts.state.arena, this.#addAllWaiting);
      }
      return;
    }
    scale(this.#parts, values, count, factor);
    staging.handOver(values);
    if (staged.kind === "dense") sum.dense = values;
    else {
      staging.handOver(staged.indices);
      sum.rows.push({ indices: staged.indices, values, rows: staged.rows });
      this.#compact(sum);
    }
  }

  /** Adds the waiting contribution and `others`, which came after it. */
  #addWaiting(sum: Sum, ...others: Addend[]): void {
    const { variable: { count }, dense, waiting } = sum;
    if (!waiting) return;
    accumulate(this.#parts, { to: dense as number, count, addends: [waiting, ...others] });
    this.#allocator.release(waiting.values);
    sum.waiting = undefined;
  }

  readonly #addAllWaiting = () => this.#sums.values().forEach((sum) => this.#addWaiting(sum));

  /** Merges the lists if they have more rows than the variable, so that they never take much more memory than it. */
  #compact(sum: Sum): void {
    const { variable, rows } = sum;
    if (rows.length === 1 || rows.reduce((total, each) => total + each.rows, 0) <= variable.rows) return;
    try {
      const merged = this.#merge(sum, this.#allocator);
      for (const list of rows) this.#releaseRows(list);
      sum.rows = [merged];
    } catch {
      // Memory is short. The lists are kept; they mean the same.
    }
  }

  #merge({ variable, rows }: Sum, allocator: Allocator): RowList {
    const { state, runner } = this.#parts;
    return mergeRows(rows, { state, variable, runner, allocator });
  }

  combine(into: ArenaStaging, { noise }: { noise: Noisy | null }): Combined {
    this.#addAllWaiting();
    const averages = [], overflows = [];
    for (const sum of this.#sums.values()) {
      const { variable, dense: values, weight, bound } = sum;
      if (variable.role === "average") {
        // Without any weight, the variable is left unchanged.
        if (!(weight > 0)) continue;
        averages.push(setAverage(variable, values as number, weight));
        overflows.push(...overflowsOfMean(this.#parts, variable, { from: values as number, weight, bound }));
      } else {
        into.apart.set(variable.name, this.#combineOne(sum, into, noise));
        // Divided by an infinity, the sum would be 0.
        if (!Number.isFinite(Math.fround(this.#divisor(sum)))) {
          overflows.push(`the sum of the weights of "${variable.name}"`);
        }
      }
    }
    return { averages, warnings: [], overflows };
  }

  #combineOne(sum: Sum, into: ArenaStaging, noise: Noisy | null): Staged {
    const { variable } = sum;
    const allocator = { allocate: (bytes: number) => into.allocate(bytes), release: () => {} };
    if (sum.dense === undefined) {
      const { indices, values, rows } = this.#merge(sum, allocator);
      const count = rows * variable.rowLength;
      const squares = this.#divide({ total: values, to: values, count, by: this.#divisor(sum) });
      return { ...dense(variable, values, squares), kind: "sparse", indices, rows, count };
    }
    const { count } = variable;
    let total = sum.dense;
    const to = into.allocate(4 * count);
    if (sum.rows.length > 0 || noise) {
      const { state: { arena }, runner } = this.#parts;
      arena.f32(to, count).set(arena.f32(total, count));
      total = to;
      // The rows are added as one list, so that no bit depends on which lists were merged before.
      if (sum.rows.length > 0) {
        addRows({ arena, runner }, { ...this.#merge(sum, allocator), to, rowLength: variable.rowLength });
      }
      noise?.(variable, to);
    }
    return dense(variable, to, this.#divide({ total, to, count, by: this.#divisor(sum) }));
  }

  #divisor({ count, weight }: Sum): number {
    const { divide } = this.#rule;
    if (divide === "weight") return weight === 0 ? 1 : weight;
    return divide === "nothing" ? 1 : count;
  }

  /** to = total / by; returns the sum of squares. */
  #divide({ total, to, count, by }: { total: number; to: number; count: number; by: number }): number {
    const { state, runner } = this.#parts;
    const { g_squares = 0 } = runner(state.arena, {
      kernel: program({
        lines: ["g = total / by", "g_squares = squares(g)"],
        tensors: ["g", "total"],
        stored: ["g"],
        uniforms: ["by"],
      }).kernel(),
      tensors: { g: to, total },
      rowCount: 1,
      rowLength: count,
      uniforms: { by: Math.fround(by) },
    });
    return g_squares;
  }

  copy(): Accumulator {
    this.#addAllWaiting();
    const { arena } = this.#parts.state;
    using unfinished = new DisposableStack();
    const copy = unfinished.use(new SumAccumulator(this.#parts, this.#rule));
    const floats = (from: number, count: number) => {
      const to = this.#allocator.allocate(4 * count);
      arena.f32(to, count).set(arena.f32(from, count));
      return to;
    };
    for (const [name, sum] of this.#sums) {
      const { variable } = sum;
      const own: Sum = { ...sum, dense: undefined, rows: [] };
      copy.#sums.set(name, own);
      if (sum.dense !== undefined) own.dense = floats(sum.dense, variable.count);
      // Lists of rows are only read by a later merge, so one list stands for all.
      if (sum.rows.length > 0) own.rows = [this.#merge(sum, this.#allocator)];
    }
    unfinished.move();
    return copy;
  }

  #releaseRows({ indices, values }: RowList): void {
    this.#allocator.release(indices);
    this.#allocator.release(values);
  }

  release(): void {
    for (const { dense: values, waiting, rows } of this.#sums.values()) {
      if (values !== undefined) this.#allocator.release(values);
      if (waiting) this.#allocator.release(waiting.values);
      for (const list of rows) this.#releaseRows(list);
    }
    this.#sums.clear();
    this.#borrowed?.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
