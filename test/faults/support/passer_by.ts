/**
 * A client that creates runs, steps them, saves and forks them, and deletes them. A created run stays until it is
 * deleted; a deleted run never comes back.
 */
import assert from "node:assert/strict";
import { type Random } from "./bodies.ts";
import { fileCall, getCall, jsonCall, textOf } from "./calls.ts";
import { deliver, type Stage, step } from "./clients.ts";
import type { Acknowledged } from "./life.ts";
import { Life } from "./life.ts";
import { createBody, PASSING, type Plan } from "./plans.ts";
import type { Twin } from "./twin.ts";

export interface World {
  readonly twin: Twin;
  /** The existing runs, by id. */
  readonly lives: Map<string, Life>;
  /** Ids of deleted runs. */
  readonly deleted: string[];
  /** Acknowledged creations, all keyed. */
  readonly created: Acknowledged[];
}

/** Number of runs that are kept idle, for the sweeper, before they are deleted. */
const LEFT_ALONE = 4;

/** Creates a run with a key, and returns its life. */
export async function create(
  stage: Stage,
  world: World,
  { id, plan }: { id: string; plan: Plan },
): Promise<Life> {
  if (plan.definition) await register(stage, world, plan.definition);
  const call = jsonCall("POST", "/v1/runs", createBody(id, plan), { "Idempotency-Key": `create-${id}` });
  const answer = await deliver(stage, call);
  assert.equal(answer.status, 201, textOf(answer));
  const text = textOf(answer);
  const version = JSON.parse(text).version as number;
  world.created.push({ call, version, text, status: answer.status });
  const life = await Life.begin(world.twin, id, { call, version, gathers: plan.aggregation !== undefined });
  world.lives.set(id, life);
  return life;
}

/** Registers an optimizer. A retry may find it registered. */
async function register(stage: Stage, { twin }: World, definition: unknown): Promise<void> {
  const call = jsonCall("POST", "/v1/optimizers", definition);
  const answer = await deliver(stage, call);
  const isThere = answer.status === 201 || (answer.status === 200 && answer.attempts > 1);
  assert.ok(isThere, `${answer.status} ${textOf(answer)}`);
  assert.equal(textOf(await twin.send(call)), textOf(answer));
}

export async function passBy(stage: Stage, world: World, next: Random): Promise<void> {
  const around: Life[] = [];
  for (let made = 0; !stage.stopped(); made += 1) {
    const life = await create(stage, world, { id: `passing-${made}`, plan: PASSING });
    for (let steps = 0; steps < 3; steps += 1) await step(stage, life, { plan: PASSING, next });
    const forked = await fork(stage, world, { life, id: `fork-${made}` });
    await Promise.all([life, forked].map((each) => step(stage, each, { plan: PASSING, next })));
    around.push(life, forked);
    while (around.length > LEFT_ALONE) await remove(stage, world, around.shift() as Life);
  }
}

/** Creates runs and deletes them at once, so that a kill meets a creation or a deletion. */
export async function comeAndGo(stage: Stage, world: World, next: Random): Promise<void> {
  for (let made = 0; !stage.stopped(); made += 1) {
    const life = await create(stage, world, { id: `brief-${made}`, plan: PASSING });
    if (next() < 0.5) await step(stage, life, { plan: PASSING, next });
    await remove(stage, world, life);
  }
}

/** Creates another run from a run's checkpoint. */
async function fork(stage: Stage, world: World, { life, id }: { life: Life; id: string }): Promise<Life> {
  const path = `${life.path}/checkpoint`, floor = life.seen;
  const saved = await deliver(stage, getCall(path));
  assert.equal(saved.status, 200, textOf(saved));
  life.read(path, saved, floor);
  const headers = { "If-None-Match": "*" };
  const call = fileCall("PUT", `/v1/runs/${id}/checkpoint`, saved.body, headers);
  let answer = await deliver(stage, call);
  // The first attempt has created the run, and its answer was lost.
  if (answer.attempts > 1 && answer.status === 412) {
    answer = await deliver(stage, getCall(`/v1/runs/${id}`));
    assert.equal(answer.status, 200, textOf(answer));
  } else assert.equal(answer.status, 201, textOf(answer));
  const forked = await Life.begin(world.twin, id, { call, version: answer.version });
  forked.countsSteps = false;
  world.lives.set(id, forked);
  return forked;
}

async function remove(stage: Stage, world: World, life: Life): Promise<void> {
  // From now on the run may exist or not.
  world.lives.delete(life.id);
  const answer = await deliver(stage, { method: "DELETE", path: life.path, headers: {} });
  const gone = answer.status === 204 || (answer.status === 404 && answer.attempts > 1);
  assert.ok(gone, `${answer.status} ${textOf(answer)}`);
  world.deleted.push(life.id);
  await life.end();
}
