/**
 * An accumulator that keeps each contribution until the round closes, for aggregators that need all of them together.
 * Contributions must be dense and have the same variables. The memory needed, the model's size times the
 * contributions, was checked when the run was created.
 */
import type { AggregatorRule } from "../../families/aggregators/aggregator.ts";
import {
  accumulate,
  type Accumulator,
  type AccumulatorParts,
  type Combined,
  dense,
  type Joining,
  scale,
  setAverage,
} from "./accumulator.ts";
import type { Instruction } from "../step/instruction.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { VariableState } from "../tensors/state.ts";

interface Item {
  /** Byte offset by variable. */
  readonly values: ReadonlyMap<VariableState, number>;
  readonly weight: number;
}

type ListRule = Extract<AggregatorRule, { kind: "list" }>;

export class ListAccumulator implements Accumulator {
  readonly #parts: AccumulatorParts;
  readonly #rule: ListRule;
  #items: Item[] = [];
  /** Count of the first items, which belong to the accumulator that this is a copy of. */
  #borrowed = 0;

  constructor(parts: AccumulatorParts, rule: ListRule) {
    this.#parts = parts;
    this.#rule = rule;
  }

  /** The variables of the first contribution, which all others must have too; undefined without contributions. */
  get variables(): readonly VariableState[] | undefined {
    return this.#items[0] && [...this.#items[0].values.keys()];
  }

  join({ staging, pseudoGradient: { gradients, averages, factor, weight } }: Joining): void {
    for (const { values, count } of gradients) scale(this.#parts, values, count, factor);
    const all = [...gradients, ...averages];
    for (const { values } of all) staging.handOver(values);
    this.#items.push({ values: new Map(all.map(({ variable, values }) => [variable, values])), weight });
  }

  combine(into: ArenaStaging): Combined {
    const { state: { arena }, runner } = this.#parts;
    const weights = this.#items.map(({ weight }) => weight);
    const variables = this.variables ?? [];
    const optimized = variables.filter(({ role }) => role === "optimize").map((variable) => ({
      variable,
      count: variable.count,
      offsets: this.#offsets(variable),
      result: into.allocate(4 * variable.count),
    }));
    const { warnings = [] } = this.#rule.combine({
      arena,
      runner,
      weights,
      variables: optimized,
      allocate: (bytes) => into.allocate(bytes),
    });
    for (const { variable, result } of optimized) {
      into.tensors.set(variable.name, dense(variable, result, this.#squares(result, variable.count)));
    }
    const averages = variables.filter(({ role }) => role === "average")
      .map((variable) => this.#average(variable, into));
    return { averages, warnings };
  }

  #offsets(variable: VariableState): number[] {
    return this.#items.map(({ values }) => values.get(variable) as number);
  }

  #average(variable: VariableState, into: ArenaStaging): Instruction {
    const to = into.allocate(4 * variable.count);
    this.#parts.state.arena.f32(to, variable.count).fill(0);
    let total = 0;
    for (const { values, weight } of this.#items) {
      accumulate(this.#parts, {
        to,
        count: variable.count,
        addends: [{ values: values.get(variable) as number, factor: weight }],
      });
      total += weight;
    }
    return setAverage(variable, to, total);
  }

  #squares(values: number, count: number): number {
    const { state, runner } = this.#parts;
    const { g_squares = 0 } = runner(state.arena, {
      kernel: program({ lines: ["g_squares = squares(g)"], tensors: ["g"] }).kernel(),
      tensors: { g: values },
      rowCount: 1,
      rowLength: count,
      uniforms: {},
    });
    return g_squares;
  }

  /** Removes one contribution by its index in order of acceptance. */
  remove(place: number): void {
    const [removed] = this.#items.splice(place, 1);
    if (removed) this.#releaseItem(removed);
  }

  #releaseItem({ values }: Item): void {
    const { memory, state: { arena } } = this.#parts;
    for (const offset of values.values()) memory.release(arena, offset);
  }

  copy(): Accumulator {
    const copy = new ListAccumulator(this.#parts, this.#rule);
    copy.#items = [...this.#items];
    copy.#borrowed = this.#items.length;
    return copy;
  }

  release(): void {
    for (const item of this.#items.slice(this.#borrowed)) this.#releaseItem(item);
    this.#items = [];
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
