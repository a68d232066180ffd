/** Errors found by zod, as callers get them. */
import assert from "node:assert/strict";
import { z } from "@hono/zod-openapi";
import { invalidRequest } from "../../../routes/http/invalid_request.ts";

const Schema = z.strictObject({
  rate: z.union([z.number().positive(), z.null()]).optional(),
  noise: z.union([z.strictObject({ stddev: z.number().min(0), seed: z.int() }), z.null()]).optional(),
  member: z.union([z.string(), z.record(z.string(), z.unknown())]).optional(),
});

function issuesOf(value: unknown) {
  const { error } = Schema.safeParse(value);
  assert.ok(error);
  return invalidRequest("body", error).issues;
}

Deno.test("invalidRequest() says what is wrong with a value that may have several forms", () => {
  assert.deepEqual(issuesOf({ rate: 0 }), [{ path: "rate", message: "Too small: expected number to be >0" }]);
  assert.deepEqual(issuesOf({ noise: { stddev: -1 } }).map(({ path }) => path), [
    "noise.stddev",
    "noise.seed",
  ]);
  assert.deepEqual(issuesOf({ noise: { stddev: 1, seed: 1, mean: 0 } }), [
    { path: "noise", message: 'Must not hold "mean"' },
  ]);
});

Deno.test("invalidRequest() names the place of a value that has none of its forms", () => {
  for (const value of [{ rate: "1" }, { noise: 0.5 }, { member: 7 }]) {
    const [issue, ...more] = issuesOf(value);
    assert.deepEqual([issue?.path, more], [Object.keys(value)[0], []]);
    assert.ok(issue && issue.message.length > 0);
  }
});

Deno.test("invalidRequest() bounds the number of issues", () => {
  const { error } = z.array(z.int()).safeParse(Array(1000).fill("x"));
  assert.ok(error);
  const refusal = invalidRequest("query", error);
  assert.equal(refusal.issues.length, 20);
  assert.equal(refusal.issues[7]?.path, "query.7");
  assert.match(refusal.message, /\(and 999 more\)$/);
});
