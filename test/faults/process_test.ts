/** What starting, stopping and killing a process does to a data folder, one thing at a time. */
import assert from "node:assert/strict";
import { random } from "../kernels/special.ts";
import { spawn, startProcess } from "../service.ts";
import { below, gradientsCall } from "./bodies.ts";
import { type Call, digestOf, getCall, jsonCall, textOf } from "./calls.ts";
import { deliver, type Stage, stepOnAndOn } from "./clients.ts";
import { create, type World } from "./passer_by.ts";
import { createBody, PASSING, type Plan, PLANS } from "./plans.ts";
import { Server } from "./server.ts";
import { Twin } from "./twin.ts";

async function withFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "stepwell-faults-" });
  await act(folder);
  await Deno.remove(folder, { recursive: true });
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function stageOf(server: Server): Stage & { end: () => void } {
  let stops = false;
  return {
    server,
    stopped: () => stops,
    figures: { answers: 0, retries: 0, replays: 0 },
    end: () => void (stops = true),
  };
}

const newWorld = (): World => ({ twin: new Twin(), lives: new Map(), deleted: [], created: [] });

Deno.test("main refuses a data folder that another process uses with one line", () =>
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
    // The sweep, which writes the snapshots, comes a second after the start.
    for (const ms of [150, 1010, 1030, 1060]) {
      await server.start();
      const ready = performance.now();
      await lookAround();
      server.open();
      await sleep(ms - (performance.now() - ready));
      assert.equal(await server.end("SIGTERM"), 0);
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
    assert.equal(await server.end("SIGTERM"), 0);
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
    const start = performance.now();
    while (performance.now() - start < 1300) {
      const call = gradientsCall(next, {
        plan: PASSING,
        path: "/v1/runs/demo/gradients",
        headers: {},
        fields: {},
      });
      calls.push(call);
      assert.equal((await deliver(stage, call)).status, 200);
      await sleep(below(next, 5));
    }
    await server.end("SIGKILL");
    await server.start();
    server.open();
    assert.equal((await deliver(stage, getCall("/v1/runs/none"))).status, 404);
    const found = await deliver(stage, getCall("/v1/runs/demo/checkpoint"));
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

/** Bytes of all journals, by path. */
function* journals(folder: string): Generator<[string, number]> {
  for (const { name: run } of Deno.readDirSync(`${folder}/runs`)) {
    for (const { name } of Deno.readDirSync(`${folder}/runs/${run}`)) {
      const path = `runs/${run}/${name}`;
      if (name.startsWith("journal-")) yield [path, Deno.statSync(`${folder}/${path}`).size];
    }
  }
}

Deno.test("service starts with a torn tail: the step that it cuts off is not there, and can be taken again", () =>
  withFolder(async (folder) => {
    const before = `${folder}/before`;
    await using first = new Server({ STEPWELL_DATA: before });
    const stage = stageOf(first), world = newWorld(), next = random(7);
    await first.start();
    first.open();
    const life = await create(stage, world, { id: "demo", plan: PASSING });
    const step = (key: string) =>
      gradientsCall(next, {
        plan: PASSING,
        path: `${life.path}/gradients`,
        headers: { "Idempotency-Key": key },
        fields: {},
      });
    for (const key of ["a", "b", "c"]) await deliver(stage, step(key));
    const kept = await deliver(stage, getCall(`${life.path}/checkpoint`));
    const whole = new Map(journals(before));
    const last = step("d");
    const answer = textOf(await deliver(stage, last));
    const torn = [...journals(before)].filter(([path, bytes]) => whole.get(path) !== bytes);
    await first.end("SIGKILL");
    assert.equal(torn.length, 1);
    const [[path, end] = ["", 0]] = torn;
    const start = whole.get(path) ?? 0;
    for (
      const [bytes, zeros] of [[start + 1, 0], [start + 40, 0], [end - 1, 0], [
        start + 50,
        end - start - 50,
      ]] as const
    ) {
      const copy = `${folder}/copy`;
      await copyFolder(before, copy);
      await Deno.truncate(`${copy}/${path}`, bytes);
      await Deno.truncate(`${copy}/${path}`, bytes + zeros);
      await using server = new Server({ STEPWELL_DATA: copy });
      await server.start();
      server.open();
      const found = await server.send(getCall(`${life.path}/checkpoint`));
      assert.equal(found.version, 3, textOf(found));
      assert.equal(digestOf(found.body), digestOf(kept.body));
      const again = await server.send(last);
      assert.equal(again.replayed, false);
      assert.equal(textOf(again), answer);
      await server.end("SIGKILL");
      await Deno.remove(copy, { recursive: true });
    }
  }));

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}
