/** docs/formulas.md: its table of functions equals the compiler's, and its worked rules follow their papers. */
import assert from "node:assert/strict";
import { OPS, REDUCTIONS } from "../kernels/language/ops.ts";
import type { Definition } from "../src/families/optimizers/definition_schema.ts";
import { newRegistry, numbers, step, variablesOf } from "./run/support/harness.ts";
import { holdTables, type Table } from "./support/markdown_tables.ts";
import { type Variable, WORKED_RULES } from "./support/worked_rules.ts";

const PAGE = new URL("../docs/formulas.md", import.meta.url);
const page = Deno.readTextFileSync(PAGE);

function functionTable(): Table {
  const shown = (
    name: string,
    { symbol, arity, meaning }: { symbol?: string; arity: number; meaning: string },
  ) => {
    const args = ["a", "b", "c"].slice(0, arity);
    if (name === "where") return ["`where(x < y, a, b)`", meaning];
    if (name === "clamp") return ["`clamp(x, low, high)`", meaning];
    const form = symbol
      ? arity === 1 ? `${symbol}a` : args.join(` ${symbol} `)
      : `${name}(${args.join(", ")})`;
    return [`\`${form}\``, meaning];
  };
  return [
    ["form", "what it gives"],
    ...[...OPS].map(([name, row]) => shown(name, row)),
    ...[...REDUCTIONS].map(([name, { meaning }]) => shown(name, { arity: 1, meaning })),
  ];
}

Deno.test("docs/formulas.md lists every function as the compiler has it", () => {
  holdTables(PAGE, new Map([["functions", functionTable()]]));
});

const definitions = [...page.matchAll(/```json\n([\s\S]*?)```/g)]
  .map(([, text]) => JSON.parse(text ?? "") as Pick<Definition, "class_name" | "hyperparameters">);

Deno.test("docs/formulas.md has a rule for each of the worked rules", () => {
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
