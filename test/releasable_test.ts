/** What was acquired is given back once, by name or at the end of a block. */
import assert from "node:assert/strict";
import { releasable } from "../src/releasable.ts";

Deno.test("releasable() gives back once, whoever releases, and as part of another object too", () => {
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
