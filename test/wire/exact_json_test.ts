/** JSON that keeps what JavaScript's numbers lose: the sign of zero, and that a number is a float. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { exactJson, exactNumber } from "../../src/wire/exact_json.ts";

Deno.test("exactNumber() writes every finite number so that it reads as the same float", () => {
  const texts = [0, -0, 1, -3, 1e21, 2 ** 53, 0.5, 1e-7].map((x) => JSON.stringify(exactNumber(x)));
  assert.deepEqual(texts, ["0.0", "-0.0", "1.0", "-3.0", "1e+21", "9007199254740992.0", "0.5", "1e-7"]);
  fc.assert(fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (x) => {
    const text = JSON.stringify(exactNumber(x));
    assert.match(text, /[.e]/);
    assert.ok(Object.is(JSON.parse(text), x));
  }));
});

Deno.test("exactJson() keeps the sign of zero", () => {
  assert.equal(exactJson({ a: [-0, 0, 1] }), '{"a":[-0,0,1]}');
});
