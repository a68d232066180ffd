/**
 * Processes are killed and the power fails in the middle of many requests, on a disk that keeps only what was flushed
 * and fails now and then itself: every step that was acknowledged is there once, every version that was read is, and
 * nothing else happened.
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { StepwellError } from "../../../src/errors.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { type Disk, IO_ERROR, NO_SPACE, type Operation } from "../../store/support/disk.ts";
import { newRegistry, step } from "../support/harness.ts";
import { lasting, newWorld, SMALL, type World } from "../support/stored.ts";

const FRAGILE: readonly Operation[] = [
  "create",
  "resume",
  "write",
  "truncate",
  "flush",
  "rename",
  "remove",
  "sync",
];

/** Turns of the event loop. */
const turns = fc.nat({ max: 12 });

const life = fc.record({
  /** By client: how long it waits before each request, and between the change and the flush. */
  clients: fc.array(
    fc.array(fc.record({ before: turns, between: fc.nat({ max: 6 }) }), { minLength: 1, maxLength: 8 }),
    {
      minLength: 1,
      maxLength: 5,
    },
  ),
  readers: fc.array(fc.nat({ max: 60 }), { maxLength: 8 }),
  sweeps: fc.array(fc.record({ at: fc.nat({ max: 60 }), idleMs: fc.constantFrom(0, 1e9) }), { maxLength: 4 }),
  faults: fc.uniqueArray(
    fc.record({
      at: fc.nat({ max: 150 }),
      message: fc.constantFrom(NO_SPACE, IO_ERROR),
      length: fc.nat({ max: 3 }),
    }),
    { maxLength: 4, selector: ({ at }) => at },
  ),
  /** The operation at which it ends. */
  end: fc.integer({ min: 1, max: 250 }),
  how: fc.oneof(
    fc.constant("kill" as const),
    fc.record({ keep: fc.constantFrom(0, 0.3, 0.7, 1), zeros: fc.boolean() }),
  ),
});

type Life = typeof life extends fc.Arbitrary<infer T> ? T : never;

/** What clients were told. */
interface Told {
  readonly keys: string[];
  version: number;
}

const stepOf = (session: Session, key: string) => {
  const [client, n] = key.split("-").map(Number) as [number, number];
  return step(session, { w: [client, n, 0.5] }, { key: { key, hash: key, at: 0 } });
};

const later = async (turns: number) => {
  for (let n = 0; n < turns; n++) await setImmediate();
};

/** One process, from its start to its end; `name` tells its keys from those of others. */
async function live(
  world: World,
  { clients, readers, sweeps, faults, end, how }: Life,
  name: number,
  told: Told,
) {
  let count = 0, isOver = false;
  const over = Promise.withResolvers<Disk>();
  world.disk.fault = (operation) => {
    const at = count++;
    if (at >= end) {
      finish();
      throw new Error("The end");
    }
    const fault = faults.find((each) => at >= each.at && at <= each.at + each.length);
    // Bytes whose flush has failed, that cannot be cut off either, look whole to the next process: nobody can tell.
    if (how === "kill" && operation === "resume") return;
    if (fault && FRAGILE.includes(operation)) throw new Error(fault.message);
  };
  const finish = () => {
    if (!isOver) over.resolve(how === "kill" ? world.disk.kill() : world.disk.powerCut(how));
    isOver = true;
  };
  const { registry } = world;
  /** A request; what it answers leaves before the end or not at all. */
  const request = async (act: (session: Session) => number, between: number, key?: string) => {
    const lease = registry.lease("small");
    try {
      const version = act(registry.get("small"));
      await later(between);
      await lease.durable();
      if (isOver) return;
      told.version = Math.max(told.version, version);
      if (key) told.keys.push(key);
    } catch (error) {
      if (!isOver && !(error instanceof StepwellError)) throw error;
    } finally {
      lease.release();
    }
  };
  const working = Promise.all([
    ...clients.map(async (requests, client) => {
      for (const [n, { before, between }] of requests.entries()) {
        await later(before);
        const key = `${10 * name + client}-${n}`;
        await request((session) => stepOf(session, key).version, between, key);
      }
    }),
    ...readers.map(async (turns) => {
      await later(turns);
      await request((session) => session.version, 0);
    }),
    ...sweeps.map(async ({ at, idleMs }) => {
      await later(at);
      await registry.sweep({ idleMs });
    }),
  ]);
  await Promise.race([working, over.promise]);
  finish();
  await working;
  await world.restart(await over.promise);
}

async function assertKept(lives: readonly Life[]): Promise<void> {
  await using world = await newWorld({ journalBytesMax: 0 });
  await world.registry.create(SMALL);
  const told: Told = { keys: [], version: 0 };
  for (const [name, life] of lives.entries()) await live(world, life, name, told);
  const session = world.registry.get("small");
  const found = session.replies.all.map(({ key }) => key);
  for (const key of told.keys) assert.ok(found.includes(key), `${key} was acknowledged, found are ${found}`);
  assert.equal(session.version, found.length);
  assert.ok(session.version >= told.version, `version ${told.version} was read, ${session.version} is there`);
  const twin = await newRegistry({ now: () => new Date(0) }).create(SMALL);
  for (const key of found) stepOf(twin, key);
  assert.deepEqual(lasting(session), lasting(twin));
}

Deno.test("nothing that was told is lost when processes are killed and the power fails", async () => {
  const lives = fc.array(life.map((each): Life => ({ ...each, faults: [] })), { minLength: 1, maxLength: 3 });
  await fc.assert(fc.asyncProperty(lives, assertKept), { numRuns: 100 });
});

Deno.test("nothing that was told is lost when the disk fails too", async () => {
  await fc.assert(fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 3 }), assertKept), {
    numRuns: 200,
  });
});
