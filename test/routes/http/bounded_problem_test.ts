/** A refusal stays small, whatever the request held. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { boundedDetail, boundedIssues } from "../../../routes/http/bounded_problem.ts";
import { assertProblem, startService } from "../support/harness.ts";

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).length;

Deno.test("texts and issues of a refusal take at most 60 KiB, and short ones stay as they are", () => {
  const letter = fc.constantFrom("a", "\u0001", "é", "😀", '"', "\ud800");
  const text = fc.tuple(letter, fc.nat(100_000)).map(([letter, count]) => letter.repeat(count));
  fc.assert(
    fc.property(
      text,
      fc.array(fc.record({ path: text, message: text }), { maxLength: 5 }),
      fc.nat(500),
      (detail, few, count) => {
        const issues = Array.from(
          { length: count },
          (_, i) => few[i % few.length] ?? { path: "a", message: "b" },
        );
        const bounded = boundedIssues(issues);
        assert.ok(bounded.length <= 100);
        assert.ok(bytesOf(boundedDetail(detail)) + bytesOf(bounded) < 61 * 1024);
        assert.ok(count === 0 || bounded.length > 0);
      },
    ),
    { numRuns: 100 },
  );
  const issues = [{ path: "a", message: "é".repeat(1000) }];
  assert.deepEqual(boundedIssues(issues), issues);
  assert.equal(boundedDetail("é".repeat(1000)), "é".repeat(1000));
});

Deno.test("a refusal of a body with long or many names is small", async () => {
  const service = startService();
  const names = Object.fromEntries(Array.from({ length: 4000 }, (_, i) => [`key ${"x".repeat(20)}${i}`, 1]));
  const long = { optimizer: "SGD", variables: [{ name: "w", shape: [] }], ["x".repeat(500_000)]: 1 };
  const classes = { optimizer: "x".repeat(500_000), variables: [{ name: "w", shape: [] }] };
  for (const body of [names, long, classes]) {
    const response = await service.send("POST", "/v1/runs", { body });
    const copy = response.clone();
    assert.ok((await copy.bytes()).length <= 64 << 10);
    await assertProblem(response, body === classes ? "unknown_class" : "invalid_request", 422);
  }
});
