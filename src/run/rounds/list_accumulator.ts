/**
 * An accumulator that keeps each contribution until the round closes, for aggregators that need all of them together.
 * Contributions must be dense. Variables that not all of them have are combined apart. The memory needed, the model's size times the
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
  overflowsOfMean,
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

interface Group {
  readonly variables: readonly VariableState[];
  /** The contributions that have these variables, in order of acceptance. */
  readonly items: readonly Item[];
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

  join({ staging, pseudoGradient: { gradients, averages, factor, weight } }: Joining): void {
    for (const { values, count } of gradients) scale(this.#parts, values, count, factor);
    const all = [...gradients, ...averages];
    for (const { values } of all) staging.handOver(values);
    this.#items.push({ values: new Map(all.map(({ variable, values }) => [variable, values])), weight });
  }

  combine(into: ArenaStaging, { edition }: { edition: number }): Combined {
    const groups = this.#groups("optimize");
    const warnings = groups.flatMap((group) => this.#combineGroup(group, { into, edition }));
    const means = this.#groups("average").flatMap(({ variables, items }) =>
      variables.map((variable) => this.#average(variable, { items, into }))
    );
    return {
      averages: means.map(({ instruction }) => instruction),
      warnings,
      overflows: means.flatMap(({ overflows }) => overflows),
    };
  }

  /** The variables, in order of first occurrence, grouped by the contributions that have them. */
  #groups(role: VariableState["role"]): Group[] {
    const groups = new Map<string, { variables: VariableState[]; items: Item[] }>();
    const variables = new Set(this.#items.flatMap(({ values }) => [...values.keys()]));
    for (const variable of variables) {
      if (variable.role !== role) continue;
      const places = [...this.#items.keys()].filter((place) => this.#items[place]?.values.has(variable));
      const group = groups.get(places.join());
      if (group) group.variables.push(variable);
      else {
        groups.set(places.join(), {
          variables: [variable],
          items: places.map((place) => this.#items[place] as Item),
        });
      }
    }
    return [...groups.values()];
  }

  /** Puts the combined gradients of a group into `into`, and returns warnings. */
  #combineGroup(
    { variables, items }: Group,
    { into, edition }: { into: ArenaStaging; edition: number },
  ): readonly string[] {
    const { state: { arena }, runner, aggregation: { aggregator } } = this.#parts;
    const { contributionsMin } = this.#rule;
    if (items.length < contributionsMin) {
      const names = variables.map(({ name }) => name).join(", ");
      const { class_name: name } = aggregator.member;
      return [
        `${name} needs ${contributionsMin} contributions with ${names} and has ${items.length}: it stays`,
      ];
    }
    const list = variables.map((variable) => ({
      variable,
      count: variable.count,
      offsets: items.map(({ values }) => values.get(variable) as number),
      result: into.allocate(4 * variable.count),
    }));
    const { warnings = [] } = this.#rule.combine({
      arena,
      runner,
      weights: items.map(({ weight }) => weight),
      variables: list,
      edition,
      allocate: (bytes) => into.allocate(bytes),
    });
    for (const { variable, result } of list) {
      into.apart.set(variable.name, dense(variable, result, this.#squares(result, variable.count)));
    }
    return warnings;
  }

  #average(variable: VariableState, { items, into }: { items: readonly Item[]; into: ArenaStaging }): {
    readonly instruction: Instruction;
    readonly overflows: readonly string[];
  } {
    const to = into.allocate(4 * variable.count);
    this.#parts.state.arena.f32(to, variable.count).fill(0);
    let total = 0;
    for (const { values, weight } of items) {
      accumulate(this.#parts, {
        to,
        count: variable.count,
        addends: [{ values: values.get(variable) as number, factor: weight }],
      });
      total += weight;
    }
    const bound = Math.sqrt(this.#squares(to, variable.count));
    return {
      instruction: setAverage(variable, to, total),
      overflows: overflowsOfMean(this.#parts, variable, { from: to, weight: total, bound }),
    };
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
