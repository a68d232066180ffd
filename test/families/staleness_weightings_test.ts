import assert from "node:assert/strict";
import fc from "fast-check";
import { stalenessWeightings } from "../../src/families/staleness_weightings/mod.ts";

function factor(class_name: string, config: Record<string, unknown>, staleness: number): number {
  const part = stalenessWeightings.resolve({ class_name, config });
  return part.member.factor(part.config, staleness);
}

Deno.test("factor() gives the values of FedAsync's formulas, computed by hand", () => {
  assert.equal(factor("Constant", {}, 1000), 1);
  assert.equal(factor("Polynomial", {}, 3), 0.5);
  assert.equal(factor("Polynomial", { exponent: 2 }, 3), 1 / 16);
  assert.equal(factor("Polynomial", { exponent: 0 }, 3), 1);
  assert.equal(factor("Polynomial", { exponent: 1 }, 2), Math.fround(1 / 3));
  assert.equal(factor("Hinge", {}, 4), 1);
  assert.equal(factor("Hinge", {}, 5), Math.fround(1 / 11));
  assert.equal(factor("Hinge", { a: 0.5, b: 1.5 }, 3.5), 0.5);
  assert.equal(factor("Hinge", { a: 0, b: 0 }, 9), 1);
});

Deno.test("factor() is 1 at staleness 0, a float32 from 0 to 1, and falls with the staleness", () => {
  const number = fc.float({ min: 0, noNaN: true, noDefaultInfinity: true });
  const age = fc.oneof(fc.nat({ max: 50 }), fc.maxSafeNat());
  const properties = fc.property(number, number, age, age, (first, second, one, other) => {
    const configs = { Constant: {}, Polynomial: { exponent: first }, Hinge: { a: first, b: second } };
    for (const { class_name } of stalenessWeightings.members) {
      const config = configs[class_name as keyof typeof configs];
      const at = (staleness: number) => factor(class_name, config, staleness);
      assert.equal(at(0), 1);
      const older = at(Math.max(one, other)), newer = at(Math.min(one, other));
      assert(older <= newer && older >= 0 && newer <= 1, `${class_name}: ${newer}, ${older}`);
      assert.equal(older, Math.fround(older));
    }
  });
  fc.assert(properties, { numRuns: 200 });
});

Deno.test("staleness weightings refuse negative numbers", () => {
  const wrong = [["Polynomial", { exponent: -1 }], ["Hinge", { a: -1 }], ["Hinge", { b: -1 }]] as const;
  for (const [class_name, config] of wrong) {
    assert.throws(() => stalenessWeightings.resolve({ class_name, config }), { code: "invalid_config" });
  }
});
