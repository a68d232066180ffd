import assert from "node:assert/strict";
import { schedules } from "../../src/families/schedules/mod.ts";
import { type Bound, decode, readGolden } from "./goldens.ts";

interface Table {
  readonly name: string;
  readonly schedule: unknown;
  readonly config: unknown;
  readonly steps: readonly number[];
  readonly values: string;
  readonly bound: Bound;
}

const { tables } = readGolden<{ tables: Table[] }>("schedules.json");

for (const { name, schedule, config: recorded, steps, values, bound } of tables) {
  Deno.test(`value() equals Keras' at every step when the schedule is: ${name}`, () => {
    const { member, config } = schedules.resolve(schedule);
    assert.deepEqual(config, recorded);
    const wanted = decode(values);
    let inexact = 0;
    wanted.forEach((want, at) => {
      const step = Math.fround(steps[at] as number);
      const got = member.value(config, step);
      if (Object.is(got, want)) return;
      inexact += 1;
      // TensorFlow takes powers, logarithms and cosines of scalars from libc in float32, which is now and then an ulp
      // off; near the trough of a cosine that is much of what is left.
      const { relative = 2 ** -22 } = bound;
      const close = Math.abs(got - want) <= Math.max(relative * Math.abs(want), bound.relative ? 1e-8 : 0);
      assert(close, `at step ${step}: ${got}, must be ${want}`);
    });
    assert(
      inexact <= wanted.length * (bound.ulp === 0 ? 0.01 : 0.5),
      `${inexact} of ${wanted.length} are inexact`,
    );
  });
}

Deno.test("every schedule is tried when the tables are gone through", () => {
  const tried = new Set(tables.map(({ schedule }) => (schedule as { class_name: string }).class_name));
  assert.deepEqual(tried, new Set(schedules.members.map(({ class_name }) => class_name)));
});

Deno.test("PiecewiseConstantDecay refuses boundaries when Keras would fail on them at the first step", () => {
  const refused: [number[], number[]][] = [[[], [0.1]], [[2, 1], [1, 2, 3]], [[1, 1], [1, 2, 3]]];
  for (const [boundaries, values] of refused) {
    const config = { boundaries, values };
    assert.throws(() => schedules.resolve({ class_name: "PiecewiseConstantDecay", config }), {
      code: "invalid_config",
    });
  }
});
