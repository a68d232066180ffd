/** The aggregators that add contributions up as they arrive: their rules and refusals. */
import assert from "node:assert/strict";
import { aggregators } from "../../../src/families/aggregators/mod.ts";

function rule(class_name: string, config: Record<string, unknown> = {}) {
  const part = aggregators.resolve({ class_name, config });
  return part.member.rule(part.config);
}

Deno.test("rule() gives the divisor and the bound when contributions are added up", () => {
  assert.deepEqual(rule("Sum"), { kind: "sum", divide: "nothing" });
  assert.deepEqual(rule("Mean"), { kind: "sum", divide: "count" });
  assert.deepEqual(rule("WeightedMean"), { kind: "sum", divide: "weight" });
  const bounded = { kind: "sum", divide: "count", normBound: 2.5 };
  assert.deepEqual(rule("NormBoundedMean", { norm_bound: 2.5 }), bounded);
});

Deno.test("NormBoundedMean refuses a bound that is missing, 0, negative or infinite", () => {
  for (const config of [{}, { norm_bound: 0 }, { norm_bound: -1 }, { norm_bound: 1e39 }]) {
    assert.throws(() => rule("NormBoundedMean", config), {
      code: "invalid_config",
      message: /^Cannot configure NormBoundedMean: norm_bound is .*, must be/,
    });
  }
});
