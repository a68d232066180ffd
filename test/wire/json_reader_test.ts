import assert from "node:assert/strict";
import fc from "fast-check";
import { StepwellError } from "../../src/errors.ts";
import { type JsonLimits, membersOf, TENSOR, tensorsIn } from "../../src/wire/json_limits.ts";
import { JsonReader } from "../../src/wire/json_reader.ts";
import { flatten } from "../../src/wire/nested_numbers.ts";
import { NestedNumbers } from "../../src/wire/number_list.ts";
import { assertRefuses } from "./support/refusals.ts";

const LIMITS: JsonLimits = { plainBytesMax: 1e9, valuesMax: 1e9, namesMax: 1e9 };
/** Every array is the tensor that the body is, or one of its members. */
const TENSORS: JsonLimits = { ...LIMITS, places: { ...TENSOR, each: TENSOR } };
const UTF8 = new TextEncoder();

/** Reads a text whose bytes arrive in pieces of `size`. */
function read(text: string | Uint8Array, size = 1e9, limits = LIMITS): unknown {
  const bytes = typeof text === "string" ? UTF8.encode(text) : text;
  const reader = new JsonReader(limits);
  for (let at = 0; at < bytes.length; at += size) {
    const chunk = bytes.slice(at, at + size);
    reader.write(chunk);
    // Readers of bodies use their memory again.
    chunk.fill(0x5d);
  }
  return reader.close();
}

function outcome(parse: () => unknown): { value: unknown } | "refused" {
  try {
    return { value: parse() };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof StepwellError) return "refused";
    throw error;
  }
}

const size = fc.integer({ min: 1, max: 9 });

Deno.test("JsonReader gives what JSON.parse gives, however the bytes are cut", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.nat(4), size, (json, indent, size) => {
      const text = JSON.stringify(JSON.parse(json), null, indent);
      assert.deepEqual(read(text, size), JSON.parse(text));
      assert.deepEqual(read(`\ufeff \n${text}\t`), JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

Deno.test("JsonReader gives the bits of JSON.parse for every form of a number", () => {
  const digits = fc.stringMatching(/^(0|[1-9][0-9]{0,24})$/);
  const number = fc.tuple(
    fc.constantFrom("", "-"),
    digits,
    fc.stringMatching(/^(\.[0-9]{1,25})?$/),
    fc.stringMatching(/^([eE][+-]?[0-9]{1,3})?$/),
  ).map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.oneof(number, fc.double({ noNaN: true }).map((x) => JSON.stringify(x) ?? "0")), (text) => {
      assert.ok(Object.is(read(text), JSON.parse(text)), text);
      assert.ok(Object.is((read(`[${text}]`, 3) as number[])[0], JSON.parse(text)), text);
    }),
    { numRuns: 5000 },
  );
});

Deno.test("JsonReader refuses exactly what JSON.parse refuses, and repeated names", () => {
  const piece = fc.constantFrom(
    ...'{}[],:"\\ \n\t0123456789-+.eE',
    "true",
    "null",
    '"a"',
    '"b":',
    "\\u00e9",
    "\\ud83d\\ude00",
    "é😀",
    "\u0001",
    "\u0000",
  );
  const texts = fc.oneof(
    fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")),
    fc.tuple(fc.json(), fc.nat(), fc.string({ maxLength: 2 }), fc.nat(2)).map(
      ([text, place, insert, cut]) => {
        const at = place % (text.length + 1);
        return text.slice(0, at) + insert + text.slice(at + cut);
      },
    ),
  );
  fc.assert(
    fc.property(texts, size, (text, size) => {
      // A lone surrogate is no UTF-8: encoding replaces it.
      if (!text.isWellFormed()) return;
      const found = outcome(() => read(text, size));
      const wanted = outcome(() => JSON.parse(text));
      if (found === "refused" && wanted !== "refused" && hasRepeatedName(text)) return;
      assert.deepEqual(found, wanted, JSON.stringify(text));
    }),
    { numRuns: 5000 },
  );
});

/** Whether an object loses a member in JSON.parse: its members are counted before and after. */
function hasRepeatedName(text: string): boolean {
  let count = 0;
  JSON.parse(
    text,
    (_key, value) => (count += value?.constructor === Object ? Object.keys(value).length : 0, value),
  );
  return (text.replaceAll(/"(?:[^"\\]|\\.)*"/g, "").match(/:/g)?.length ?? 0) > count;
}

Deno.test("JsonReader takes nested numbers at the places of tensors, as flatten() finds them", () => {
  const element = fc.oneof(
    fc.double({ noDefaultInfinity: true, noNaN: true, min: -3e38, max: 3e38 }),
    fc.integer(),
    fc.constantFrom("NaN", "Infinity", "-Infinity", -0),
  );
  const even = fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }).chain((shape) =>
    shape.reduceRight<fc.Arbitrary<unknown>>(
      (inner, length) => fc.array(inner, { minLength: length, maxLength: length }),
      element,
    )
  );
  const any = fc.oneof(
    even,
    fc.array(fc.oneof(element, fc.array(fc.oneof(element, fc.constant([]), fc.constant(null))))),
  );
  fc.assert(
    fc.property(any, fc.nat(2), size, (value, indent, size) => {
      const text = JSON.stringify(value, (_key, x) => Object.is(x, -0) ? "-0.0!" : x, indent).replaceAll(
        '"-0.0!"',
        "-0.0",
      );
      const wanted = outcome(() => flatten(JSON.parse(text), "w"));
      const found = outcome(() => {
        const taken = read(text, size, TENSORS);
        assert.ok(taken instanceof NestedNumbers);
        return flatten(taken, "w");
      });
      assert.deepEqual(found, wanted, text);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("JsonReader takes long stretches of numbers, wherever something else stands among them", () => {
  const number = fc.oneof(
    fc.double({ noDefaultInfinity: true, noNaN: true, min: -3e38, max: 3e38 }),
    fc.nat(),
  );
  const other = fc.constantFrom('"NaN"', '"-Infinity"', "1e400", "null", "[1]", "01", "-", "{}", "");
  fc.assert(
    fc.property(
      fc.array(number, { minLength: 30, maxLength: 200 }),
      fc.option(other),
      fc.nat(),
      fc.integer({ min: 50, max: 900 }),
      (numbers, other, place, size) => {
        const texts = numbers.map((x) => JSON.stringify(x));
        if (other !== null) texts[place % texts.length] = other;
        const text = `[${texts.join(place % 2 ? "," : " ,\n ")}]`;
        const found = outcome(() => flatten(read(text, size, TENSORS), "w"));
        assert.deepEqual(found, outcome(() => flatten(JSON.parse(text), "w")), text);
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("JsonReader names the place of what is no tensor", () => {
  const limits = { ...LIMITS, places: tensorsIn("gradients") };
  const cases: [string, string, RegExp][] = [
    [
      "[[1,2],[3]]",
      "shape_mismatch",
      /gradients\.w\.1: it has 1 elements, must have 2 like its first sibling/,
    ],
    ["[[1],2]", "shape_mismatch", /gradients\.w\.1: it is 2, must be an array like its siblings/],
    ["[1,[2]]", "shape_mismatch", /gradients\.w\.1: it is an array, must be a number like its siblings/],
    ["[1,null,3]", "invalid_number", /gradients\.w\.1: it is null, must be a number/],
    ['[1,"x"]', "invalid_number", /gradients\.w\.1: it is "x", must be a number/],
    [`[1,"${"x".repeat(99)}"]`, "invalid_number", /gradients\.w\.1: it is a text, must be a number/],
    ["[[true]]", "invalid_number", /gradients\.w\.0\.0: it is true/],
    ["[1,{}           ]", "invalid_number", /gradients\.w\.1: it is an object/],
    ["[".repeat(33), "shape_mismatch", /nested more than 32 deep/],
    ["[1,nope!]", "malformed_json", /unexpected "n" at byte 21/],
    ["[1,]   ", "malformed_json", /unexpected "]" at byte 21/],
  ];
  for (const [tensor, code, pattern] of cases) {
    for (const size of [1, 7, 1e9]) {
      assertRefuses(
        code as "malformed_json",
        pattern,
        () => read(`{"gradients":{"w":${tensor}}}`, size, limits),
      );
    }
  }
});

Deno.test("JsonReader refuses depth, names, values and bytes beyond its limits, at any cut", () => {
  const deep = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  const objects = (depth: number) => '{"a":'.repeat(depth) + "1" + "}".repeat(depth);
  for (const size of [1, 1e9]) {
    for (const nest of [deep, objects]) {
      assert.deepEqual(read(nest(64), size), JSON.parse(nest(64)));
      assertRefuses("malformed_json", /nested more than 64 deep/, () => read(nest(65), size));
    }
    assertRefuses(
      "invalid_request",
      /over 2 names/,
      () => read('{"a":1,"b":2,"c":3}', size, { ...LIMITS, namesMax: 2 }),
    );
    assertRefuses(
      "body_too_large",
      /over 3 values/,
      () => read("[1,2,3]", size, { ...LIMITS, valuesMax: 3 }),
    );
    assertRefuses(
      "body_too_large",
      /over 6 bytes/,
      () => read("[1,2,3]", size, { ...LIMITS, plainBytesMax: 6 }),
    );
    assertRefuses("malformed_json", /repeated key "a"/, () => read('{"a":1,"\\u0061":2}', size));
    assertRefuses("malformed_json", /a token is too long/, () => read("1".repeat(1e5), 1000));
  }
  assertRefuses("malformed_json", /not UTF-8/, () => read(Uint8Array.of(0x22, 0xff, 0x22)));
});

Deno.test("JsonReader does not count what tensors take as plain bytes", () => {
  const places = membersOf({ w: TENSOR });
  const limits = { places, plainBytesMax: 100, valuesMax: 20, namesMax: 10 };
  const numbers = Array.from({ length: 5000 }, (_, i) => i / 7);
  const { w } = read(JSON.stringify({ w: numbers }), 700, limits) as { w: NestedNumbers };
  assert.deepEqual([...flatten(w, "w").values], [...Float32Array.from(numbers)]);
  const base64 = "A".repeat(10_000);
  assert.deepEqual(read(JSON.stringify({ w: { base64 } }), 700, limits), { w: { base64 } });
  assertRefuses("body_too_large", /besides/, () => read(JSON.stringify({ v: { base64 } }), 700, limits));
  assertRefuses("body_too_large", /over 20 values/, () => read(JSON.stringify({ v: numbers }), 700, limits));
});

Deno.test("JsonReader keeps names that are special to JavaScript", () => {
  const text = '{"__proto__":{"x":1},"constructor":2,"10":3,"2":4}';
  assert.deepEqual(read(text), JSON.parse(text));
  assert.ok(Object.hasOwn(read(text) as object, "__proto__"));
});
