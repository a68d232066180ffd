import assert from "node:assert/strict";
import fc from "fast-check";
import { findJsonFault, showJsonFault } from "../../src/wire/json_fault.ts";

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

Deno.test("findJsonFault() finds none in what JSON.stringify writes", () => {
  fc.assert(fc.property(fc.json(), fc.nat(4), (text, indent) => {
    assert.equal(findJsonFault(text), undefined);
    assert.equal(findJsonFault(JSON.stringify(JSON.parse(text), null, indent)), undefined);
  }));
});

Deno.test("findJsonFault() agrees with JSON.parse about texts of JSON's letters", () => {
  const piece = fc.constantFrom(
    ...'{}[],:"\\ \n\t0123456789-+.eE',
    "true",
    "null",
    '"a"',
    '"b":',
    "\\u00e9",
    "\u0001",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")), (text) => {
      const fault = findJsonFault(text);
      if (fault?.problem.startsWith("repeated key")) return;
      assert.equal(fault === undefined, isJson(text), `${JSON.stringify(text)}: ${fault?.problem}`);
    }),
    { numRuns: 20_000 },
  );
});

Deno.test("findJsonFault() agrees with JSON.parse about damaged texts", () => {
  fc.assert(
    fc.property(
      fc.json(),
      fc.nat(),
      fc.string({ maxLength: 2 }),
      fc.nat(2),
      (text, place, insert, remove) => {
        const at = place % (text.length + 1);
        const damaged = text.slice(0, at) + insert + text.slice(at + remove);
        const fault = findJsonFault(damaged);
        if (fault?.problem.startsWith("repeated key")) return;
        assert.equal(fault === undefined, isJson(damaged), `${JSON.stringify(damaged)}: ${fault?.problem}`);
      },
    ),
    { numRuns: 5000 },
  );
});

Deno.test("findJsonFault() finds the first fault and its place", () => {
  const cases: [string, string][] = [
    ["", "unexpected end at line 1, column 1 (offset 0)"],
    ["[1, 2", "unexpected end at line 1, column 6 (offset 5)"],
    ['{"a": 1,}', 'unexpected "}" at line 1, column 9 (offset 8)'],
    ["[1,]", 'unexpected "]" at line 1, column 4 (offset 3)'],
    ["[1}", 'unexpected "}" at line 1, column 3 (offset 2)'],
    ["[\n\n  01]", 'unexpected "1" at line 3, column 4 (offset 6)'],
    ['"a\nb"', 'unexpected "\\n" at line 1, column 3 (offset 2)'],
    ['"\\x"', "unknown escape at line 1, column 2 (offset 1)"],
    ['"a', "unexpected end at line 1, column 3 (offset 2)"],
    ["[😀]", 'unexpected "😀" at line 1, column 2 (offset 1)'],
    ['{"a":1,"b":{"a":2},"a":3}', 'repeated key "a" at line 1, column 20 (offset 19)'],
    ['{"a":1,"\\u0061":3}', 'repeated key "a" at line 1, column 8 (offset 7)'],
    ["\ufeff{}", 'unexpected "\ufeff" at line 1, column 1 (offset 0)'],
  ];
  for (const [text, shown] of cases) {
    const fault = findJsonFault(text);
    assert.ok(fault, text);
    assert.equal(showJsonFault(text, fault), shown);
  }
});

Deno.test("findJsonFault() takes any length, and a depth of 64", () => {
  assert.equal(findJsonFault("[".repeat(64) + "]".repeat(64)), undefined);
  const deep = "[".repeat(1_000_000);
  assert.deepEqual(findJsonFault(deep), { offset: 64, problem: "nested more than 64 deep" });
  assert.equal(findJsonFault(JSON.stringify("é".repeat(1_000_000))), undefined);
});
