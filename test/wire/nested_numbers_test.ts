import assert from "node:assert/strict";
import fc from "fast-check";
import { flatten, nest } from "../../src/wire/nested_numbers.ts";
import { assertRefuses } from "./support/refusals.ts";

const bitsOf = (
  values: Float32Array,
) => [...new Uint32Array(values.buffer, values.byteOffset, values.length)];
const through = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

const SPECIAL = [
  0,
  -0,
  NaN,
  Infinity,
  -Infinity,
  2 ** -149,
  -(2 ** -149),
  2 ** -126,
  3.4028234663852886e38,
  0.1,
];
const float32 = fc.oneof(fc.float(), fc.constantFrom(...SPECIAL));

Deno.test("flatten() returns the bits that nest() wrote as JSON", () => {
  // Only the last dimension may be zero: [0, 3] is written as [] like any other shape that begins with 0.
  const shapes = fc.tuple(fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }), fc.nat(4))
    .chain(([outer, last]) => fc.constantFrom([...outer, last], outer));
  fc.assert(fc.property(shapes, fc.infiniteStream(float32), (shape, numbers) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, () => numbers.next().value);
    const flat = flatten(through(nest(values, shape)), "w");
    assert.deepEqual(flat.shape, shape);
    assert.deepEqual(bitsOf(flat.values), bitsOf(values));
  }));
});

Deno.test("nest() writes numbers exactly, and as strings those that JSON lacks", () => {
  assert.equal(
    JSON.stringify(nest(Float32Array.of(0.1, -0, 0, NaN, Infinity, -Infinity), [2, 3])),
    '[[0.10000000149011612,-0,0],["NaN","Infinity","-Infinity"]]',
  );
  assert.equal(JSON.stringify(nest(Float32Array.of(2.5), [])), "2.5");
  assert.equal(JSON.stringify(nest(new Float32Array(0), [2, 0])), "[[],[]]");
  assert.equal(JSON.stringify(nest(new Float32Array(0), [0, 2])), "[]");
});

Deno.test("flatten() gives shape and values when arrays are nested evenly", () => {
  const cases: [unknown, number[], number[]][] = [
    [2.5, [], [2.5]],
    ["-Infinity", [], [-Infinity]],
    [[], [0], []],
    [[[], []], [2, 0], []],
    [[[1, 2, "NaN"], [4, 5, 6]], [2, 3], [1, 2, NaN, 4, 5, 6]],
    [[[[1]], [[2]]], [2, 1, 1], [1, 2]],
  ];
  for (const [value, shape, values] of cases) {
    assert.deepEqual(flatten(value, "w"), { shape, values: Float32Array.from(values) });
  }
});

Deno.test("flatten() rounds to the nearest float32 and refuses what float32 cannot hold", () => {
  const largest = 3.4028234663852886e38;
  const overflow = 3.4028235677973366e38;
  const below = 3.4028235677973362e38;
  assert.ok(below < overflow);
  assert.deepEqual([...flatten([0.1, 1e-50, below, -below], "w").values], [
    Math.fround(0.1),
    0,
    largest,
    -largest,
  ]);
  for (const text of ["1e300", "-1e300", "1e400", "-1e400", `${overflow}`]) {
    const number = JSON.parse(text);
    const pattern = new RegExp(
      `gradients\\.w\\.1: it is ${String(number).replace("+", "\\+")}, must be within`,
    );
    assertRefuses("invalid_number", pattern, () => flatten([0, number], "gradients.w"));
    assertRefuses("invalid_number", /gradients\.w: it is/, () => flatten(number, "gradients.w"));
  }
});

Deno.test("flatten() names the place when nesting is ragged or something is not a number", () => {
  const deep = (depth: number): unknown => JSON.parse("[".repeat(depth) + "]".repeat(depth));
  const cases: ["shape_mismatch" | "invalid_number", unknown, RegExp][] = [
    ["shape_mismatch", [[1, 2], [3]], /^Cannot read g\.w\.1: it has 1 elements, must have 2/],
    ["shape_mismatch", [[1, 2], 3], /^Cannot read g\.w\.1: it is 3, must be an array/],
    ["shape_mismatch", [1, [2]], /^Cannot read g\.w\.1: it is an array, must be a number/],
    [
      "shape_mismatch",
      [[[1], [2]], [[3], [4, 5]]],
      /^Cannot read g\.w\.1\.1: it has 2 elements, must have 1/,
    ],
    ["shape_mismatch", [[[1], [2]], [[3], {}]], /^Cannot read g\.w\.1\.1: it is an object/],
    ["shape_mismatch", [[], [1]], /^Cannot read g\.w\.1: it has 1 elements, must have 0/],
    ["shape_mismatch", deep(33), /^Cannot read g\.w: it is nested more than 32 deep/],
    ["shape_mismatch", deep(200_000), /nested more than 32 deep/],
    ["invalid_number", [[1, 2], [3, true]], /^Cannot read g\.w\.1\.1: it is true, must be a number/],
    ["invalid_number", [null], /^Cannot read g\.w\.0: it is null/],
    ["invalid_number", ["1"], /^Cannot read g\.w\.0: it is "1"/],
    ["invalid_number", "nan", /^Cannot read g\.w: it is "nan"/],
    ["invalid_number", "x".repeat(1000), /it is "x{39}…, must/],
    ["invalid_number", [{ toJSON: 1 }], /^Cannot read g\.w\.0: it is an object/],
    ["invalid_number", undefined, /^Cannot read g\.w: it is missing/],
  ];
  for (const [code, value, pattern] of cases) assertRefuses(code, pattern, () => flatten(value, "g.w"));
  assert.deepEqual(flatten(deep(32), "w").shape, [...Array(31).fill(1), 0]);
});

Deno.test("flatten() allocates nothing for elements that a ragged value only announces", () => {
  // The first lengths announce 10^12 elements: 4 TB.
  const long = Array(10_000).fill(0);
  const middle = [long, ...Array(9_999).fill([])];
  const value = [middle, ...Array(9_999).fill([])];
  assertRefuses("shape_mismatch", /w\.0\.1: it has 0 elements, must have 10000/, () => flatten(value, "w"));
});
