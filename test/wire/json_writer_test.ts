import assert from "node:assert/strict";
import fc from "fast-check";
import { listJson, plainJson, recordJson, tensorJson } from "../../src/wire/json_writer.ts";
import { nest } from "../../src/wire/nested_numbers.ts";
import { SPECIAL } from "../kernels/support/special.ts";

const written = (pieces: Iterable<string>) => [...pieces].join("");

Deno.test("tensorJson() writes what JSON.stringify writes of nested numbers", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { maxLength: 4 }), fc.nat(1000), (shape, seed) => {
      const count = shape.reduce((product, size) => product * size, 1);
      const values = Float32Array.from(
        { length: count },
        (_, n) => n % 3 === 0 ? SPECIAL[(seed + n) % SPECIAL.length] as number : Math.sin(seed + n),
      );
      assert.equal(written(tensorJson(values, shape)), JSON.stringify(nest(values, shape)));
    }),
    { numRuns: 500 },
  );
});

Deno.test("tensorJson() writes long rows in pieces", () => {
  const values = new Float32Array(10_000).map((_, n) => n / 7);
  const pieces = [...tensorJson(values, [2, 5000])];
  assert(pieces.every(({ length }) => length < 10_000));
  assert.equal(pieces.join(""), JSON.stringify(nest(values, [2, 5000])));
});

Deno.test("recordJson() and listJson() write what JSON.stringify writes, empty ones too", () => {
  const value = { a: 1, 'b"': [], __proto__x: [null, "x"], c: {} };
  const pieces = recordJson([
    ["a", plainJson(1)],
    ['b"', listJson([])],
    ["__proto__x", listJson([plainJson(null), plainJson("x")])],
    ["c", recordJson([])],
  ]);
  assert.equal(written(pieces), JSON.stringify(value));
});
