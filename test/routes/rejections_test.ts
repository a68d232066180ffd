/**
 * One suite of rejections over all operations. Each test shows that version and bits stay the same.
 */
import assert from "node:assert/strict";
import { assertProblem, startRun, stateOf } from "./support/harness.ts";
import { TARGETS } from "./support/rejection_targets.ts";
import { common, files, STATUSES } from "./support/rejections.ts";
import { LIMITED, startWithTokens } from "./support/tokens.ts";

/** Operations without effect have no preconditions. */
const CHANGE_NOTHING = new Set(["gather_variables", "compute_gradients"]);

for (const [operation, target] of Object.entries(TARGETS)) {
  const rows = target.good === undefined
    ? [...files().filter(({ code }) => code !== "invalid_request"), ...target.rejections]
    : [...common(target), ...target.rejections];
  Deno.test(`${operation} refuses ${rows.length} kinds of bad requests and changes nothing`, async (t) => {
    const service = startWithTokens(LIMITED);
    await startRun(service);
    const before = await stateOf(service);
    for (const { what, code, body, headers = {}, path = "", at } of rows) {
      await t.step(what, async () => {
        const to = path.startsWith("/") ? path : target.path + path;
        if (CHANGE_NOTHING.has(operation) && ("If-Match" in headers || "If-None-Match" in headers)) return;
        const response = await service.send(target.method, to, { body, headers });
        const problem = await assertProblem(response, code, STATUSES[code]);
        if (at) assert.ok(problem.issues.some((issue) => issue.path.includes(at)), JSON.stringify(problem));
        assert.equal(await stateOf(service), before);
      });
    }
    assert.equal(service.uploads.open, 0);
    assert.equal(service.registry.figures().stagingBytes, 0);
    if (target.good !== undefined) {
      const response = await service.send(target.method, target.path, { body: target.good });
      assert.equal(response.status, 200, await response.text());
    }
    service.losses.close();
  });
}
