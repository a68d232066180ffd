/** A registered optimizer over a socket. It survives the death of the process. */
import assert from "node:assert/strict";
import { SIGNUM } from "./support/signum.ts";
import { startProcess } from "./support/service.ts";

Deno.test("a registered optimizer and its run survive kill -9", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const env = { STEPWELL_DATA: folder };
    const call = async (url: string, method: string, body?: unknown) => {
      const response = await fetch(url, {
        method,
        ...body !== undefined &&
          { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } },
      });
      return { status: response.status, body: await response.json() };
    };
    {
      await using service = await startProcess(env);
      const { status, body } = await call(`${service.url}/v1/optimizers`, "POST", SIGNUM);
      assert.equal(status, 201, JSON.stringify(body));
      const optimizer = { class_name: "Signum", config: { learning_rate: 0.5, beta: 0.5 } };
      const run = { id: "demo", optimizer, variables: [{ name: "w", shape: [2], initial: [1, 2] }] };
      assert.equal((await call(`${service.url}/v1/runs`, "POST", run)).status, 201);
      await call(`${service.url}/v1/runs/demo/gradients`, "POST", { gradients: { w: [3, -3] } });
      await service.stop("SIGKILL");
    }
    await using service = await startProcess(env);
    const after = await call(`${service.url}/v1/runs/demo/gradients`, "POST", { gradients: { w: [0, 9] } });
    assert.equal(after.body.iterations, 2);
    const { body } = await call(`${service.url}/v1/runs/demo/variables`, "GET");
    // Velocities 1.5 and −1.5, then 0.75 and 3.75.
    assert.deepEqual(body.variables, { w: [0, 2] });
    assert.equal((await call(`${service.url}/v1/optimizers`, "POST", SIGNUM)).status, 200);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
