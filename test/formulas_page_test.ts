/** docs/formulas.md: its worked rules do what their papers say. Its table is generated: generated_test.ts. */
import assert from "node:assert/strict";
import type { Definition } from "../src/families/optimizers/member/definition_schema.ts";
import { newRegistry, numbers, step, variablesOf } from "./run/support/harness.ts";
import { type Variable, WORKED_RULES } from "./support/worked_rules.ts";

const page = Deno.readTextFileSync(new URL("../docs/formulas.md", import.meta.url));

const definitions = [...page.matchAll(/```json\n([\s\S]*?)```/g)]
  .map(([, text]) => JSON.parse(text ?? "") as Pick<Definition, "class_name" | "hyperparameters">);

Deno.test("docs/formulas.md has a rule for each that is computed here", () => {
  assert.deepEqual(definitions.map(({ class_name }) => class_name), Object.keys(WORKED_RULES));
});

const STEPS = 25;
const COUNT = 19;
const GRADIENTS = Array.from({ length: STEPS }, (_, n) => numbers(COUNT, { seed: n + 1 }));
const INITIAL = numbers(COUNT, { seed: 99 });

for (const definition of definitions) {
  const { class_name, hyperparameters } = definition;
  Deno.test(`${class_name} moves as its paper says`, async () => {
    const registry = newRegistry();
    await registry.optimizers.register(definition);
    const variables = [{ name: "w", shape: [COUNT], initial: INITIAL }];
    const run = await registry.create({ optimizer: class_name, variables });
    const numbersOf = Object.entries(hyperparameters).map(([name, { default: value }]) => [name, value]);
    const expected: Variable = { w: [...INITIAL], T: 0, kept: {}, a: 1 };
    for (const g of GRADIENTS) {
      step(run, { w: g });
      expected.T += 1;
      WORKED_RULES[class_name]?.(expected, g, Object.fromEntries(numbersOf));
    }
    const { w = [] } = variablesOf(run);
    const moved = Math.max(...expected.w.map((value, i) => Math.abs(value - (INITIAL[i] as number))));
    expected.w.forEach((value, i) => {
      const off = Math.abs((w[i] as number) - value);
      // Float32 steps: a few units in the last place of w each, and a relative error of the moves.
      assert(
        off <= 1e-5 * Math.max(1, Math.abs(value)) && off < moved / 100,
        `[${i}] is ${w[i]}, must be ${value}`,
      );
    });
  });
}
