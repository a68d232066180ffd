import assert from "node:assert/strict";
import fc from "fast-check";
import { findJsonFault } from "../../src/wire/json_fault.ts";
import { parseJson, tryParseJson } from "../../src/wire/parse_json.ts";
import { assertRefuses } from "./support/refusals.ts";

Deno.test("parseJson() gives what JSON.parse gives, and refuses exactly what findJsonFault() faults", () => {
  const piece = fc.constantFrom(...'{}[],:"\\ 01-', '"a"', '"b":', '{"a":1,', '"a":', "[1,[", "]]", '":["');
  const texts = fc.oneof(fc.json(), fc.array(piece, { maxLength: 14 }).map((pieces) => pieces.join("")));
  fc.assert(
    fc.property(texts, (text) => {
      if (findJsonFault(text) === undefined) assert.deepEqual(parseJson(text), JSON.parse(text));
      else assert.equal(tryParseJson(text), undefined, text);
    }),
    { numRuns: 10_000 },
  );
});

Deno.test("parseJson() finds repeated names and depth wherever they hide", () => {
  const repeated = '{"a":1,"a":2}';
  const around = fc.constantFrom<[string, string]>(
    ["[", "]"],
    ["[1,", "]"],
    ["[[1],", "]"],
    ['{"x":', "}"],
    ['{"x:":"[:","y":', "}"],
    ['["[[",', ',"]]"]'],
  );
  fc.assert(
    fc.property(fc.array(around, { maxLength: 60 }), (levels) => {
      const text = levels.reduceRight((inner, [open, close]) => open + inner + close, repeated);
      assertRefuses("malformed_json", /repeated key "a"/, () => parseJson(text));
      const deep = levels.reduceRight(
        (inner, [open, close]) => open + inner + close,
        "[".repeat(65) + "]".repeat(65),
      );
      assertRefuses("malformed_json", /nested more than 64 deep/, () => parseJson(deep));
    }),
    { numRuns: 300 },
  );
});
