/** No answer shows a change that is not on disk, and details of damaged files do not leave the service. */
import assert from "node:assert/strict";
import { IO_ERROR } from "../../store/support/disk.ts";
import { newWorld, type World } from "../../run/support/stored.ts";
import { until } from "../../support/waiting.ts";
import {
  assertProblem,
  FILE_TYPE,
  GRADIENTS,
  type Service,
  startRun,
  startService,
} from "../support/harness.ts";

const serve = (world: World) => startService({}, { registry: world.registry });
const PATH = "/v1/runs/demo/gradients";
const step = (service: Service, headers = {}) =>
  service.send("POST", PATH, { body: { gradients: GRADIENTS }, headers });

async function withService(act: (service: Service, world: World) => Promise<void>): Promise<void> {
  await using world = await newWorld();
  const service = serve(world);
  await startRun(service);
  await act(service, world);
}

Deno.test("a step shows in its own answer and in any other only once it is on disk", async () => {
  await withService(async (service, world) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let isFlushing = false;
    world.disk.pause = () => {
      isFlushing = true;
      return promise;
    };
    const answers: Record<string, Promise<Response>> = { step: step(service) };
    await until(() => isFlushing);
    for (const path of ["", "/variables", "/weights", "/steps", "/optimizer", "/slots/m", "/checkpoint"]) {
      answers[path] = service.send("GET", `/v1/runs/demo${path}`);
    }
    answers["list"] = service.send("GET", "/v1/runs");
    answers["fresh"] = service.send("GET", "/v1/runs/demo", { headers: { "If-None-Match": '"v2"' } });
    const given: string[] = [];
    for (const [what, answer] of Object.entries(answers)) void answer.then(() => given.push(what));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(given, []);
    resolve();
    for (const answer of Object.values(answers)) {
      const response = await answer;
      assert.ok([200, 304].includes(response.status));
      await response.body?.cancel();
    }
    assert.deepEqual(given.sort(), Object.keys(answers).sort());
  });
});

Deno.test("an answer that is not sent, because its step was not flushed, releases its copy", async () => {
  await withService(async (service, world) => {
    world.disk.fault = (operation) => {
      if (operation === "flush") throw new Error(IO_ERROR);
    };
    const problem = await assertProblem(
      await step(service, { Prefer: "return=representation", Accept: FILE_TYPE }),
      "storage_failed",
      503,
    );
    assert.deepEqual(problem.issues, []);
    world.disk.fault = () => {};
    const { version } = await (await service.send("GET", "/v1/runs/demo")).json();
    assert.equal(version, 1);
    assert.equal(world.registry.figures().publishedBytes, 0);
  });
});

Deno.test("a damaged run gives 500 with its own code, the log has the details, and DELETE removes it", async () => {
  await withService(async (_, world) => {
    const disk = world.disk.copy();
    for (const path of disk.paths.filter((path) => path.includes("snapshot"))) disk.delete(path);
    await world.restart(disk);
    const service = serve(world);
    await startRun(service, "other");
    for (const path of ["", "/variables", "/checkpoint"]) {
      const problem = await assertProblem(
        await service.send("GET", `/v1/runs/demo${path}`),
        "run_damaged",
        500,
      );
      assert.doesNotMatch(JSON.stringify(problem), /runs\/id-/);
      assert.match(JSON.stringify(service.lines), /runs\/id-0\/snapshot-0/);
      assert.match(JSON.stringify(service.lines), new RegExp(problem.request_id));
    }
    await assertProblem(await step(service), "run_damaged", 500);
    const { runs } = await (await service.send("GET", "/v1/runs")).json();
    assert.ok(runs.some(({ id }: { id: string }) => id === "other"));
    assert.equal((await service.send("DELETE", "/v1/runs/demo")).status, 204);
    await assertProblem(await service.send("GET", "/v1/runs/demo"), "unknown_run", 404);
    await startRun(service);
  });
});

Deno.test("a checkpoint file that contains answers to keyed requests restores none of them", async () => {
  await withService(async (service) => {
    const bytes = await (await service.send("GET", "/v1/runs/demo/checkpoint")).bytes();
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    header["__metadata__"].stepwell_replies = "no JSON";
    const text = new TextEncoder().encode(JSON.stringify(header));
    const changed = new Uint8Array([...new Uint8Array(8), ...text, ...bytes.subarray(8 + length)]);
    new DataView(changed.buffer).setBigUint64(0, BigInt(text.length), true);
    const response = await service.send("PUT", "/v1/runs/fork/checkpoint", { body: changed });
    assert.equal(response.status, 201, await response.text());
  });
});
