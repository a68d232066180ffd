/** A releasable is released once, by a call or at the end of a block. */
import assert from "node:assert/strict";
import { releasable } from "../src/releasable.ts";

Deno.test("releasable() releases once, however often and from wherever it is called", () => {
  const given: string[] = [];
  {
    using one = releasable(() => given.push("one"));
    const { release } = one;
    release();
    assert.deepEqual(given, ["one"]);
  }
  {
    using _two = { name: "two", ...releasable(() => given.push("two")) };
    assert.deepEqual(given, ["one"]);
  }
  assert.deepEqual(given, ["one", "two"]);
});
