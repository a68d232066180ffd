/**
 * Runs an aggregator on a round made of plain arrays. Also checks that contributions are only read, that nothing
 * beyond a result or scratch is written, and that the interpreter gives the same bits.
 */
import assert from "node:assert/strict";
import { Arena } from "../../../../kernels/arena.ts";
import { runCompiled, runInterpreted } from "../../../../kernels/compiler/runner.ts";
import type { Combined } from "../../../../src/families/aggregators/aggregator.ts";
import { aggregators } from "../../../../src/families/aggregators/mod.ts";
import { sameBits } from "../../../kernels/support/special.ts";

/** The values of each variable. */
export type Contribution = readonly Float32Array[];

export interface Round {
  readonly contributions: readonly Contribution[];
  /** Default: all 1. */
  readonly weights?: readonly number[];
  readonly edition?: number;
}

export interface Outcome extends Combined {
  readonly values: Float32Array[];
}

const GUARD = 0x5ca1ab1e;
const GUARD_WORDS = 16;
const padded = (count: number) => 4 * Math.ceil(count / 4);

/** The rule of a member that keeps a list of contributions. */
export function listRule(class_name: string, config: Record<string, unknown> = {}) {
  const part = aggregators.resolve({ class_name, config });
  const rule = part.member.rule(part.config);
  assert(rule.kind === "list", `${class_name} keeps a list`);
  return rule;
}

/** Combines the round with the member. */
export function combined(class_name: string, config: Record<string, unknown>, round: Round): Outcome {
  const { combine, contributionsMin } = listRule(class_name, config);
  assert(round.contributions.length >= contributionsMin, `${class_name} needs ${contributionsMin}`);
  const [compiled, interpreted] = [runCompiled, runInterpreted].map((runner) => {
    const { contributions, weights = contributions.map(() => 1), edition = 2 } = round;
    const arena = new Arena({ bytesMax: 1 << 26 });
    const guards: number[] = [];
    const guarded = (bytes: number) => {
      const words = padded(bytes / 4);
      const offset = arena.allocate(4 * (words + GUARD_WORDS));
      arena.i32(offset, words + GUARD_WORDS).fill(GUARD);
      guards.push(offset + 4 * words);
      return offset;
    };
    const counts = (contributions[0] as Contribution).map(({ length }) => length);
    const variables = counts.map((count, variable) => ({
      count,
      offsets: contributions.map((values) => {
        const offset = arena.allocate(4 * count);
        arena.f32(offset, count).set(values[variable] as Float32Array);
        return offset;
      }),
      result: guarded(4 * count),
    }));
    const told = combine({ arena, variables, weights, edition, runner, allocate: guarded });
    variables.forEach(({ count, offsets }, variable) =>
      offsets.forEach((offset, n) => {
        const given = contributions[n]?.[variable] as Float32Array;
        assert.equal(sameBits(arena.f32(offset, count), given), undefined, `contribution ${n} is only read`);
      })
    );
    for (const guard of guards) {
      assert(arena.i32(guard, GUARD_WORDS).every((word) => word === GUARD), "guard words");
    }
    return { ...told, values: variables.map(({ result, count }) => arena.f32(result, count).slice()) };
  }) as [Outcome, Outcome];
  assert.deepEqual({ ...interpreted, values: [] }, { ...compiled, values: [] });
  compiled.values.forEach((values, variable) =>
    assert.equal(sameBits(interpreted.values[variable] as Float32Array, values), undefined)
  );
  return compiled;
}
