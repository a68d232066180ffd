import assert from "node:assert/strict";
import { schedules } from "../../src/families/schedules/mod.ts";
import { decode, readGolden } from "./support/goldens.ts";

interface Table {
  readonly name: string;
  readonly schedule: unknown;
  readonly config: unknown;
  readonly steps: readonly number[];
  readonly values: string;
}

const { tables } = readGolden<{ tables: Table[] }>("schedules.json");

for (const { name, schedule, config: recorded, steps, values } of tables) {
  Deno.test(`value() equals Keras' at every step when the schedule is: ${name}`, () => {
    const { member, config } = schedules.resolve(schedule);
    assert.deepEqual(config, recorded);
    const wanted = decode(values);
    wanted.forEach((want, at) => {
      const step = Math.fround(steps[at] as number);
      const got = member.value(config, step);
      assert.ok(Object.is(got, want), `at step ${step}: ${got}, must be ${want}`);
    });
  });
}

Deno.test("the tests cover every schedule", () => {
  const tried = new Set(tables.map(({ schedule }) => (schedule as { class_name: string }).class_name));
  // Keras has no Formula; formulas_test.ts tests it.
  const others = schedules.members.map(({ class_name }) => class_name).filter((name) => name !== "Formula");
  assert.deepEqual(tried, new Set(others));
});

Deno.test("PiecewiseConstantDecay refuses boundaries on which Keras would fail at the first step", () => {
  const refused: [number[], number[]][] = [[[], [0.1]], [[2, 1], [1, 2, 3]], [[1, 1], [1, 2, 3]]];
  for (const [boundaries, values] of refused) {
    const config = { boundaries, values };
    assert.throws(() => schedules.resolve({ class_name: "PiecewiseConstantDecay", config }), {
      code: "invalid_config",
    });
  }
});
