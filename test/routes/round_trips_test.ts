/** What the service answers, it takes back. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { FILE_TYPE, startService } from "./support/harness.ts";

Deno.test("values of any shape, with empty dimensions too, are taken back in JSON as they were answered", async () => {
  const { send } = startService();
  const shape = fc.array(fc.constantFrom(0, 1, 2, 3), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(shape, async (shape) => {
      const body = { id: "demo", optimizer: "Adam", variables: [{ name: "w", shape, initial: 0.5 }] };
      assert.equal((await send("POST", "/v1/runs", { body })).status, 201);
      const { variables } = await (await send("GET", "/v1/runs/demo/variables")).json();
      const put = await send("PUT", "/v1/runs/demo/variables", { body: { variables } });
      assert.equal(put.status, 200, await put.text());
      const step = await send("POST", "/v1/runs/demo/gradients", { body: { gradients: variables } });
      assert.equal(step.status, 200, await step.text());
      const weights = await (await send("GET", "/v1/runs/demo/weights")).json();
      const set = await send("PUT", "/v1/runs/demo/weights", { body: weights });
      assert.equal(set.status, 200, await set.text());
      const initial = variables.w;
      const again = { id: "again", optimizer: "Adam", variables: [{ name: "w", shape, initial }] };
      const made = await send("POST", "/v1/runs", { body: again });
      assert.equal(made.status, 201, await made.text());
      if (shape.length > 0) {
        const rows = Array.from({ length: shape[0] ?? 0 }, (_, row) => row);
        const gathered = await send("POST", "/v1/runs/demo/variables/gather", {
          body: { name: "w", indices: rows },
        });
        const { values } = await gathered.json();
        assert.deepEqual(values, (await (await send("GET", "/v1/runs/demo/variables")).json()).variables.w);
        const sparse = { gradients: { w: { indices: rows, values } } };
        const sent = await send("POST", "/v1/runs/demo/gradients", { body: sparse });
        assert.equal(sent.status, 200, await sent.text());
      }
      for (const id of ["demo", "again"]) await send("DELETE", `/v1/runs/${id}`);
    }),
    { numRuns: 60 },
  );
});

Deno.test("an answer with values as a file is taken back as values", async () => {
  const { send } = startService();
  const body = {
    id: "demo",
    optimizer: "SGD",
    variables: [{ name: "w", shape: [2, 0] }, { name: "v", shape: [] }],
  };
  assert.equal((await send("POST", "/v1/runs", { body })).status, 201);
  const file = await (await send("GET", "/v1/runs/demo/variables", { headers: { Accept: FILE_TYPE } }))
    .bytes();
  const put = await send("PUT", "/v1/runs/demo/variables", { body: file });
  assert.equal(put.status, 200, await put.text());
});
