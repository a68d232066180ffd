/**
 * Starts and kills one service many times under load: start it, check it, let clients work, kill it at a random
 * moment, repeat. At the end everything that was acknowledged is compared with the twin, bit by bit.
 */
import assert from "node:assert/strict";
import { ConfigStore } from "../../../src/store/kv.ts";
import { random } from "../../kernels/support/special.ts";
import { below, pick, type Random } from "./bodies.ts";
import { type Call, codeOf, getCall, jsonCall, textOf } from "./calls.ts";
import { minimizeOnAndOn, own, type Stage, stepOnAndOn } from "./clients.ts";
import { contributeOnAndOn } from "./contributors.ts";
import { Forgetful } from "./forgetful.ts";
import type { Acknowledged } from "./life.ts";
import { comeAndGo, create, passBy, type World } from "./passer_by.ts";
import { PLANS } from "./plans.ts";
import { Server } from "./server.ts";
import { Twin } from "./twin.ts";

export interface StormOptions {
  readonly kills: number;
  readonly seed: number;
  /** The data folder. */
  readonly folder: string;
}

const STEPPERS_PER_RUN = 2;
const CONTRIBUTORS_PER_RUN = 3;
/** Runs whose owners set weights and restore checkpoints. */
const RESTORED = ["adam", "ftrl", "custom"];
const SETTINGS = {
  // The first sweep, which takes snapshots, comes a second after each start.
  STEPWELL_SWEEP_SECONDS: "1",
  STEPWELL_IDLE_SECONDS: "1",
  STEPWELL_JOURNAL_BYTES: "20000",
  // Too little for all runs at once: a run that is loaded evicts idle ones.
  STEPWELL_MEMORY_BYTES_MAX: "1500000",
  STEPWELL_HOST: "127.0.0.1",
  // The machine may be busy.
  STEPWELL_LOSS_SECONDS: "3600",
};

export async function storm({ kills, seed, folder }: StormOptions) {
  await using server = new Server({ ...SETTINGS, STEPWELL_DATA: folder });
  const world: World = { twin: new Twin(), lives: new Map(), deleted: [], created: [] };
  const figures = { answers: 0, retries: 0, replays: 0, databasesLost: 0 };
  const next = random(seed);
  let stops = false, failure: { readonly error: unknown } | undefined;
  const stage: Stage = { server, stopped: () => stops || failure !== undefined, figures };
  const guarded = (work: Promise<void>) => work.catch((error) => void (failure ??= { error }));
  const forgetful = (["snapshot", "none"] as const).map((durability, at) =>
    new Forgetful({ durability, next: random(seed + 3 + at) })
  );
  const clients = [
    guarded(passBy(stage, world, random(seed + 1))),
    guarded(comeAndGo(stage, world, random(seed + 2))),
    ...forgetful.map((run) => guarded(run.stepOnAndOn(stage))),
  ];
  for (const [index, [id, plan]] of Object.entries(PLANS).entries()) {
    const seeds = Array.from(
      { length: 1 + (plan.aggregation ? CONTRIBUTORS_PER_RUN : STEPPERS_PER_RUN) },
      (_, at) => random(seed + 100 * (index + 1) + at),
    );
    clients.push(guarded((async () => {
      const life = await create(stage, world, { id, plan });
      life.countsSteps = !RESTORED.includes(id);
      if (plan.loss) return await minimizeOnAndOn(stage, life, plan.loss);
      const [owner = next, ...steppers] = seeds;
      await Promise.all([
        own(stage, life, { plan, next: owner }),
        ...steppers.map((next, n) =>
          plan.aggregation
            ? contributeOnAndOn(stage, life, { plan, next, name: `client ${n}` })
            : stepOnAndOn(stage, life, { plan, next })
        ),
      ]);
    })()));
  }
  let killed = 0, stopped = 0, wasAsked = true;
  const restarted = async () => {
    await server.start();
    await lookAround(stage, world, next);
    for (const run of forgetful) await run.restarted(server, { wasAsked });
  };
  try {
    for (let told = 0; killed < kills;) {
      if (killed - told >= 100) console.log(`${told = killed} kills`);
      const isLost = next() < 0.1;
      if (isLost) await loseDatabase(folder, world);
      if (isLost) figures.databasesLost += 1;
      if (next() < (isLost ? 0.5 : 0.1)) {
        // Sometimes about the time at which it compares folders and database.
        const usual = server.startMs.at(-1) ?? 1000;
        await server.startAndKill(next() < 0.5 ? below(next, 1000) : usual * (0.5 + next() / 2));
        killed += 1;
        continue;
      }
      await restarted();
      server.open();
      await lasting(next);
      if (failure) throw failure.error;
      wasAsked = next() < 0.1;
      if (wasAsked) {
        await server.end("SIGTERM");
        stopped += 1;
      } else {
        await server.end("SIGKILL");
        killed += 1;
      }
    }
    await restarted();
    stops = true;
    server.open();
    await Promise.all(clients);
    if (failure) throw (failure as { error: unknown }).error;
    // The last crash may have taken one away that its client did not get to create again.
    await lookAtAll(stage, world, forgetful.filter(({ exists }) => exists).map(({ id }) => id));
    await server.end("SIGTERM");
    await lookAtFolder(folder);
  } catch (error) {
    // A client's failure says more than the failures that follow from it.
    throw failure?.error ?? error;
  } finally {
    world.twin.close();
  }
  return { killed, stopped, ...figures, startMs: server.startMs, world, forgetful };
}

/**
 * The folders are the truth: what is gone with the database is what runs do not need, which are the answers to the
 * creations of runs that were deleted since.
 */
async function loseDatabase(folder: string, world: World): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (name.startsWith("kv.sqlite")) await Deno.remove(`${folder}/${name}`);
  }
  const kept = world.created.filter(({ text }) => world.lives.has((JSON.parse(text) as { id: string }).id));
  world.created.splice(0, Infinity, ...kept);
}

/** Lets the clients work: mostly for a short time, now and then until about the time of the snapshots. */
function lasting(next: Random): Promise<void> {
  const ms = next() < 0.3 ? 850 + below(next, 250) : below(next, 250);
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Checks the runs after a start, before any client changes them. */
async function lookAround({ server }: Stage, world: World, next: Random): Promise<void> {
  for (const life of world.lives.values()) {
    const answer = await server.send(getCall(life.path));
    assert.equal(answer.status, 200, textOf(answer));
    life.restarted(JSON.parse(textOf(answer)));
    if (life.acknowledged.length > 0) await replay(server, pick(next, life.acknowledged));
    await life.advance();
  }
  if (world.created.length > 0) await replay(server, pick(next, world.created));
  for (const id of world.deleted.slice(-5)) await isGone(server, id);
}

/** A request that is sent again gets its first answer; with another body, its key is refused. */
async function replay(server: Server, { call, version, text, status }: Acknowledged): Promise<void> {
  const again = await server.send(call);
  assert.equal(again.status, status, textOf(again));
  assert.equal(textOf(again), text, "A replayed answer differs from the first");
  assert.ok(again.replayed, "A retry was taken for a new request");
  if (status !== 201) assert.equal(again.version, version);
  const { headers, method, path } = call;
  const key = { "Idempotency-Key": headers["Idempotency-Key"] ?? "" };
  const part = path.slice(path.lastIndexOf("/") + 1);
  const other: Call = part === "checkpoint"
    ? { ...call, headers: { ...headers, "Content-Type": "application/octet-stream" } }
    : jsonCall(method, path, OTHER_BODY[part], key);
  const refused = await server.send(other);
  assert.equal(refused.status, 422, textOf(refused));
  assert.equal(codeOf(refused), "key_reused");
}

/** Well-formed bodies that no client sends, by the last part of the path. */
const OTHER_BODY: Readonly<Record<string, unknown>> = {
  gradients: { gradients: {} },
  minimize: { loss: "sum(emb)" },
  variables: { variables: {} },
  weights: { weights: [] },
  optimizer: { config: {} },
  runs: { optimizer: "SGD", variables: [{ name: "other", shape: [1] }] },
};

async function isGone(server: Server, id: string): Promise<void> {
  const answer = await server.send(getCall(`/v1/runs/${id}`));
  assert.equal(answer.status, 404, `${id} was deleted: ${textOf(answer)}`);
}

/** Checks all bits of all runs, that deleted runs are gone, and that there are no other runs. */
async function lookAtAll({ server }: Stage, world: World, others: readonly string[]): Promise<void> {
  for (const life of world.lives.values()) {
    for (const path of ["/variables", "/weights", "/optimizer", "/checkpoint"]) {
      life.read(life.path + path, await server.send(getCall(life.path + path)), life.seen);
    }
    await life.finish();
    if (life.gathers) await life.compareRound(await server.send(getCall(`${life.path}/rounds/current`)));
  }
  for (const { definition } of Object.values(PLANS)) {
    if (!definition) continue;
    const path = `/v1/optimizers/${definition.class_name}`;
    assert.equal(textOf(await server.send(getCall(path))), textOf(await world.twin.send(getCall(path))));
    const refused = await server.send({ method: "DELETE", path, headers: {} });
    assert.equal(codeOf(refused), "optimizer_in_use");
  }
  for (const id of world.deleted) await isGone(server, id);
  const ids: string[] = [];
  for (let cursor = "";;) {
    const page = JSON.parse(textOf(await server.send(getCall(`/v1/runs?limit=100${cursor}`))));
    ids.push(...page.runs.map(({ id }: { id: string }) => id));
    if (!page.next_cursor) break;
    cursor = `&cursor=${page.next_cursor}`;
  }
  assert.deepEqual(ids.sort(), [...world.lives.keys(), ...others].sort());
}

/** Checks that there is no file that no record needs. */
async function lookAtFolder(folder: string): Promise<void> {
  const configs = await ConfigStore.open(`${folder}/kv.sqlite`);
  const records = await configs.runs();
  configs.close();
  const needed = new Map(
    records.map(({ incarnation, snapshots }) => [incarnation, snapshots.at(-1)?.generation ?? 0]),
  );
  const found = [...Deno.readDirSync(`${folder}/runs`)].map(({ name }) => name);
  assert.deepEqual(found.sort(), [...needed.keys()].sort());
  const beside = [...Deno.readDirSync(folder)].map(({ name }) => name);
  assert.ok(!beside.includes("lost+found"), "A folder was laid aside");
  for (const run of found) {
    for (const { name } of Deno.readDirSync(`${folder}/runs/${run}`)) {
      if (name === "run.json") continue;
      const generation = Number(/-(\d+)\./.exec(name)?.[1]);
      assert.ok(
        generation >= (needed.get(run) ?? 0),
        `${name} is left over: ${needed.get(run)} is the first needed`,
      );
    }
  }
}
