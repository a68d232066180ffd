/** Globs of run ids against a reference that tries everything. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { GLOB, RunGlobs } from "../../../routes/http/globs.ts";
import { matchesGlob } from "../../../src/globs.ts";

/** The definition, word for word: it may take exponential time. */
function fits(pattern: string, text: string): boolean {
  const [first, rest] = [pattern[0], pattern.slice(1)];
  if (first === undefined) return text === "";
  if (first === "*") return fits(rest, text) || (text !== "" && fits(pattern, text.slice(1)));
  return text !== "" && (first === "?" || first === text[0]) && fits(rest, text.slice(1));
}

const few = (letters: string, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...letters), maxLength });

Deno.test("matchesGlob() is the definition for random patterns and texts of few letters", () => {
  let matches = 0;
  fc.assert(
    fc.property(few("ab*?", 10), few("ab", 10), (pattern, text) => {
      const wanted = fits(pattern, text);
      matches += Number(wanted);
      assert.equal(matchesGlob(pattern, text), wanted);
    }),
    { numRuns: 20_000 },
  );
  assert.ok(matches > 1000, `${matches} matches`);
});

Deno.test("matchesGlob() takes the characters of ids as they are", () => {
  for (
    const [pattern, text, wanted] of [
      ["a.c", "abc", false],
      ["a.c", "a.c", true],
      ["site-3-*", "site-3-x", true],
      ["site-3-*", "site-3-", true],
      ["site-3-*", "site-33", false],
      ["*-eu", "fl-eu", true],
      ["*-eu", "fl-eu-2", false],
      ["a?", "a", false],
      ["A", "a", false],
      ["", "", true],
    ] as const
  ) {
    assert.equal(matchesGlob(pattern, text), wanted, `${pattern} ${text}`);
  }
});

Deno.test("matchesGlob() ends for the pattern that takes a search of all ways forever", () => {
  assert.equal(matchesGlob("*a".repeat(60) + "b", "a".repeat(128)), false);
  assert.equal(matchesGlob("*a".repeat(60) + "*", "a".repeat(128)), true);
});

Deno.test("RunGlobs() matches an id that one of them matches, and tells those that match whatever there is", () => {
  const globs = new RunGlobs(["a-*", "b"]);
  assert.deepEqual(["a-1", "b", "bb", "a"].map((id) => globs.matches(id)), [true, true, false, false]);
  assert.equal(new RunGlobs([]).matches("a"), false);
  for (const patterns of [["*"], ["a", "**"]]) {
    assert.ok(new RunGlobs(patterns).matchAll);
    assert.ok(new RunGlobs(patterns).matches("not an id " + "a".repeat(1000)));
  }
  for (const patterns of [[], ["?*"], ["*?"], ["a*"]]) assert.equal(new RunGlobs(patterns).matchAll, false);
  // Longer than any id: not compared.
  assert.equal(new RunGlobs(["a*"]).matches("a".repeat(129)), false);
  assert.equal(new RunGlobs(["a*"]).matches("a".repeat(128)), true);
});

Deno.test("GLOB takes what ids consist of, and * and ?", () => {
  for (const good of ["*", "a-*", "fl.?_9", "a".repeat(128)]) assert.match(good, GLOB);
  for (const bad of ["", "a b", "a/b", "[ab]", "é", "a\n", "a".repeat(129)]) assert.doesNotMatch(bad, GLOB);
});
