/** Starting, stopping and killing a process: the effect on its data folder, one fault a test. */
import assert from "node:assert/strict";
import { random } from "../kernels/support/special.ts";
import { spawn, startProcess } from "../support/service.ts";
import { until } from "../support/waiting.ts";
import { below, gradientsCall } from "./support/bodies.ts";
import { type Call, digestOf, getCall, jsonCall, textOf } from "./support/calls.ts";
import { deliver, stepOnAndOn } from "./support/clients.ts";
import { create } from "./support/passer_by.ts";
import { createBody, PASSING, type Plan, PLANS } from "./support/plans.ts";
import { newWorld, stageOf, withFolder } from "./support/scene.ts";
import { Server } from "./support/server.ts";
import { Twin } from "./support/twin.ts";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("main refuses a data folder with one line when another process uses it", () =>
  withFolder(async (folder) => {
    const env = { STEPWELL_DATA: folder };
    await using service = await startProcess(env);
    const { code, stdout, stderr } = await spawn(env).output();
    const errors = new TextDecoder().decode(stderr);
    assert.equal(code, 1, errors);
    assert.equal(stdout.length, 0);
    assert.match(errors, /^stepwell: Cannot use the data folder [^\n]+: another process is using it\n$/);
    await (await fetch(`${service.url}/v1/runs`)).json();
    await service.stop("SIGKILL");
    await using next = await startProcess(env);
    assert.equal((await next.stop()).code, 0);
  }));

Deno.test("service starts on a folder when a process was killed while it made the folder", () =>
  withFolder(async (folder) => {
    await using server = new Server({ STEPWELL_DATA: `${folder}/data` });
    // From before the folder exists until after the ready line.
    for (const ms of [100, 150, 200, 250, 300, 400]) await server.startAndKill(ms);
    await server.start();
    server.open();
    const life = await create(stageOf(server), newWorld(), { id: "demo", plan: PASSING });
    await server.end("SIGKILL");
    await server.start();
    assert.equal((await server.send(getCall(life.path))).status, 200);
    await server.end("SIGTERM");
  }));

Deno.test("service loses nothing when it is told to stop under load, and ends with 0", () =>
  withFolder(async (folder) => {
    await using server = new Server({ STEPWELL_DATA: folder, STEPWELL_SWEEP_SECONDS: "1" });
    const stage = stageOf(server), world = newWorld();
    const clients = (["journal", "snapshot"] as const).map(async (durability, run) => {
      const plan: Plan = { ...PLANS["sgd"] as Plan, durability };
      const life = await create(stage, world, { id: durability, plan });
      await Promise.all(
        [1, 2, 3].map((seed) => stepOnAndOn(stage, life, { plan, next: random(10 * run + seed) })),
      );
    });
    const lookAround = async () => {
      for (const life of world.lives.values()) {
        life.restarted(JSON.parse(textOf(await server.send(getCall(life.path)))));
      }
    };
    const haveStepped = (count: number) =>
      world.lives.size === clients.length && [...world.lives.values()].every(({ steps }) => steps >= count);
    // The first sweep, which takes the snapshots, comes a second after the start.
    for (const [index, ms] of [150, 1010, 1030, 1060].entries()) {
      await server.start();
      const ready = performance.now();
      await lookAround();
      server.open();
      await sleep(ms - (performance.now() - ready));
      // Wait longer on a slow machine, so that it is under load when it is told to stop.
      await until(() => haveStepped(6 * (index + 1)));
      await server.end("SIGTERM");
    }
    await server.start();
    await lookAround();
    stage.end();
    server.open();
    await Promise.all(clients);
    for (const life of world.lives.values()) {
      life.read(`${life.path}/checkpoint`, await server.send(getCall(`${life.path}/checkpoint`)), life.seen);
      await life.finish();
      assert.ok(life.steps > 20, `${life.steps} steps`);
    }
    await server.end("SIGTERM");
  }));

Deno.test("run with durability snapshot goes back to its last snapshot, whole, and one with none is gone", () =>
  withFolder(async (folder) => {
    await using server = new Server({ STEPWELL_DATA: folder, STEPWELL_SWEEP_SECONDS: "1" });
    const stage = stageOf(server), next = random(1), calls: Call[] = [];
    const made = (id: string, durability: "snapshot" | "none") =>
      jsonCall("POST", "/v1/runs", createBody(id, { ...PASSING, durability }));
    await server.start();
    server.open();
    await deliver(stage, made("none", "none"));
    assert.equal((await deliver(stage, made("demo", "snapshot"))).status, 201);
    const step = async () => {
      const call = gradientsCall(next, {
        plan: PASSING,
        path: "/v1/runs/demo/gradients",
        headers: {},
        fields: {},
      });
      calls.push(call);
      assert.equal((await deliver(stage, call)).status, 200);
      await sleep(below(next, 5));
    };
    const snapshotVersion = async () => {
      const { body } = await deliver(stage, getCall("/v1/runs/demo"));
      return (JSON.parse(new TextDecoder().decode(body)) as { snapshot_version: number }).snapshot_version;
    };
    const stepAndDie = async () => {
      // After a snapshot the next sweep is a second away, so the steps after it are in no snapshot.
      while (await snapshotVersion() === 0) await step();
      await step();
      await step();
      await server.end("SIGKILL");
      await server.start();
      server.open();
      assert.equal((await deliver(stage, getCall("/v1/runs/none"))).status, 404);
      return await deliver(stage, getCall("/v1/runs/demo/checkpoint"));
    };
    let found = await stepAndDie();
    // If that second was over before the two steps were, all steps are saved: try again.
    for (let more = 20; found.version === calls.length && more > 0; more -= 1) found = await stepAndDie();
    assert.ok(
      found.version > 0 && found.version < calls.length,
      `version ${found.version} of ${calls.length}`,
    );
    const twin = new Twin();
    for (const call of [made("demo", "snapshot"), ...calls.slice(0, found.version)]) await twin.send(call);
    const wanted = await twin.send(getCall("/v1/runs/demo/checkpoint"));
    assert.equal(digestOf(found.body), digestOf(wanted.body));
    await server.end("SIGKILL");
  }));
