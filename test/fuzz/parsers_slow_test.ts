/**
 * Inputs for every parser that are nearly right, or large in one dimension. `deno task test:fuzz [--inputs=N]
 * [--seed=N]` tries many; the default fits a test run.
 */
import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { PARSERS } from "./support/parsers.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: { inputs: { type: "string", default: "10000" }, seed: { type: "string" } },
  allowPositionals: true,
});
const seed = Number(values.seed ?? crypto.getRandomValues(new Int32Array(1))[0]);
const shares = PARSERS.reduce((sum, { share }) => sum + share, 0);
console.log(`seed ${seed}: --seed=${seed} makes the same inputs again`);

for (const parser of PARSERS) {
  const runs = Math.ceil(Number(values.inputs) * parser.share / shares);
  Deno.test(`${parser.name}: ${runs} inputs give values or refusals, soon and the same again`, async () => {
    const start = performance.now();
    const { tried, accepted } = await parser.check({ runs, seed });
    assert.ok(tried >= runs);
    // Inputs that are all refused, or all taken, would try little.
    assert.ok(runs < 100 || accepted > tried / 200 && accepted < tried, `${accepted} of ${tried} were taken`);
    if (runs > 10_000) {
      console.log(
        `${parser.name}: ${accepted} of ${tried} taken, ${Math.round(performance.now() - start)} ms`,
      );
    }
  });
}
