/** Prefer: return=representation when several clients change a run at once. */
import assert from "node:assert/strict";
import { FILE_TYPE, startService } from "../support/harness.ts";

const PREFER = { Prefer: "return=representation" };

Deno.test("each of many changes at once is answered with the values right after it", async () => {
  const service = startService();
  const { send } = service;
  const spec = { id: "demo", optimizer: { class_name: "SGD", config: { learning_rate: 1 } } };
  const made = await send("POST", "/v1/runs", {
    body: { ...spec, variables: [{ name: "w", shape: [3], initial: 0 }] },
  });
  assert.equal(made.status, 201, await made.text());
  const before = service.registry.figures();
  const answers = await Promise.all(
    Array.from(
      { length: 24 },
      (_, n) =>
        n % 3 === 2
          ? send("PUT", "/v1/runs/demo/variables", { headers: PREFER, body: { variables: { w: [n, n, n] } } })
          : send("POST", "/v1/runs/demo/gradients", {
            headers: PREFER,
            body: { gradients: { w: [n + 1, n + 1, n + 1] } },
          }),
    ),
  );
  const told = await Promise.all(answers.map(async (answer, n) => {
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("Preference-Applied"), "return=representation");
    const { version, variables: { w } } = await answer.json();
    assert.equal(answer.headers.get("ETag"), `"v${version}"`);
    return { n, version: Number(version), w: n % 3 === 2 ? w : w.values };
  }));
  const present = await (await send("GET", "/v1/runs/demo/variables")).json();
  let w = 0;
  for (const each of told.toSorted((a, b) => a.version - b.version)) {
    if (each.n % 3 === 2) w = each.n;
    else w -= each.n + 1;
    assert.deepEqual(each.w, [w, w, w], `version ${each.version}`);
  }
  assert.deepEqual(present.variables.w, [w, w, w]);
  assert.deepEqual(
    told.map(({ version }) => version).sort((a, b) => a - b),
    Array.from({ length: 24 }, (_, n) => n + 1),
  );
  const files = await Promise.all(
    Array.from({ length: 8 }, () =>
      send("POST", "/v1/runs/demo/gradients", {
        headers: { ...PREFER, Accept: FILE_TYPE },
        body: { gradients: { w: [1, 1, 1] } },
      })),
  );
  for (const file of files) {
    assert.equal(file.headers.get("Content-Type"), FILE_TYPE);
    await file.bytes();
  }
  const after = service.registry.figures();
  assert.equal(after.publishedBytes <= before.publishedBytes + 12, true, "copies are given back");
});
