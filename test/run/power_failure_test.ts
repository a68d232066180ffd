/**
 * The power fails in the middle of many requests, on a disk that keeps only what was flushed, and fails now and then
 * itself: every step that was acknowledged is there once, every version that was read is, and nothing else happened.
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { StepwellError } from "../../src/errors.ts";
import type { Session } from "../../src/run/session.ts";
import { IO_ERROR, NO_SPACE, type Operation } from "../store/disk.ts";
import { newRegistry, step } from "./harness.ts";
import { lasting, newWorld, request, SMALL } from "./stored.ts";

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

const plan = fc.record({
  /** By client: after how many turns of the event loop each request comes. */
  clients: fc.array(fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 8 }), {
    minLength: 1,
    maxLength: 5,
  }),
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
  /** The operation at which the power fails. */
  end: fc.integer({ min: 1, max: 250 }),
  keep: fc.constantFrom(0, 0.3, 0.7, 1),
  zeros: fc.boolean(),
});

const stepOf = (session: Session, key: string) =>
  step(session, { w: [key.length, Number(key.slice(2)), 0.5] }, { key: { key, hash: key, at: 0 } });

type Plan = typeof plan extends fc.Arbitrary<infer T> ? T : never;

async function assertKept(
  { clients, readers, sweeps, faults, end, keep, zeros }: Plan,
) {
  await using world = await newWorld({ journalBytesMax: 0 });
  await world.registry.create(SMALL);
  const acknowledged: string[] = [];
  const refused: string[] = [];
  let versionRead = 0, count = 0, isOver = false;
  const over = Promise.withResolvers<void>();
  world.disk.fault = (operation) => {
    const at = count++;
    if (at >= end) {
      isOver = true;
      over.resolve();
      throw new Error("The power is gone");
    }
    const fault = faults.find((each) => at >= each.at && at <= each.at + each.length);
    if (fault && FRAGILE.includes(operation)) throw new Error(fault.message);
  };
  const later = async (turns: number) => {
    for (let n = 0; n < turns; n++) await setImmediate();
  };
  /** What answers leave before the end. */
  const attempt = async (act: () => Promise<void>) => {
    try {
      await act();
    } catch (error) {
      if (!isOver && !(error instanceof StepwellError)) throw error;
    }
  };
  const { registry } = world;
  const working = [
    ...clients.map(async (waits, client) => {
      for (const [n, turns] of waits.entries()) {
        await later(turns);
        const key = `${client}-${n}`;
        await attempt(async () => {
          const { version } = await request(registry, "small", (session) => stepOf(session, key));
          if (isOver) return;
          acknowledged.push(key);
          versionRead = Math.max(versionRead, version);
        });
        if (acknowledged.at(-1) !== key) refused.push(key);
      }
    }),
    ...readers.map(async (turns) => {
      await later(turns);
      await attempt(async () => {
        const version = await request(registry, "small", (session) => session.version);
        if (!isOver) versionRead = Math.max(versionRead, version);
      });
    }),
    ...sweeps.map(async ({ at, idleMs }) => {
      await later(at);
      await registry.sweep({ idleMs });
    }),
  ];
  await Promise.race([Promise.all(working), over.promise]);
  isOver = true;
  const disk = world.disk.powerCut({ keep, zeros });
  await Promise.all(working);

  await world.restart(disk);
  const session = world.registry.get("small");
  const found = session.replies.all.map(({ key }) => key);
  for (const key of acknowledged) {
    assert.ok(found.includes(key), `${key} was acknowledged, found are ${found}`);
  }
  assert.equal(session.version, found.length);
  assert.ok(session.version >= versionRead, `version ${versionRead} was read, ${session.version} is there`);
  const twin = await newRegistry({ now: () => new Date(0) }).create(SMALL);
  for (const key of found) stepOf(twin, key);
  assert.deepEqual(lasting(session), lasting(twin));
}

Deno.test("nothing that was told is lost when the power fails", async () => {
  await fc.assert(fc.asyncProperty(plan, (plan) => assertKept({ ...plan, faults: [] })), { numRuns: 150 });
});

Deno.test("nothing that was told is lost when the disk fails and then the power", async () => {
  await fc.assert(fc.asyncProperty(plan, assertKept), { numRuns: 250 });
});
