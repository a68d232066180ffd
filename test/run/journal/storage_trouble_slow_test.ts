/**
 * A disk that is full, or broken, at any operation: the change is refused and not made, reads go on, and the run goes
 * on by itself when the disk does. Every operation of every course of events is made to fail once.
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { type ErrorCode, StepwellError } from "../../../src/errors.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { IO_ERROR, NO_SPACE, type Operation } from "../../store/support/disk.ts";
import { checkpointOf, restore } from "../checkpoint/support/checkpoints.ts";
import { codeOf, setVariables, step, variablesOf } from "../support/harness.ts";
import { GRADIENT, lasting, newWorld, refused, request, SMALL, type World } from "../support/stored.ts";

const TROUBLE: readonly (readonly [message: string, code: ErrorCode])[] = [
  [NO_SPACE, "storage_full"],
  [IO_ERROR, "storage_failed"],
];

const CHANGES: Readonly<Record<string, (session: Session) => unknown>> = {
  gradients: (session) => step(session, GRADIENT, { key: { key: "k", hash: "h", at: 0 } }),
  variables: (session) => setVariables(session, { w: [7, 8, 9] }),
  weights: (session) => session.setWeights([5, ...session.weights().tensors]),
  optimizer: (session) => session.patchOptimizer({ learning_rate: 0.5 }),
  "another slot": (session) => session.patchOptimizer({ amsgrad: true }),
};

/** What happens on the disk when `act` is called: as many operations as it takes without trouble. */
async function operationsOf(world: World, act: () => Promise<unknown>): Promise<number> {
  const before = world.disk.log.length;
  await act();
  return world.disk.log.length - before;
}

/** From now on the operation of this number fails, counted from 0, and with `always` all behind it. */
function failAt(
  world: World,
  number: number,
  { message = IO_ERROR, always = false } = {},
): { failed?: Operation } {
  const seen: { failed?: Operation } = {};
  let count = 0;
  world.disk.fault = (operation) => {
    const at = count++;
    if (at !== number && !(always && at > number)) return;
    seen.failed ??= operation;
    throw new Error(message);
  };
  return seen;
}

const calm = (world: World) => world.disk.fault = () => {};

async function stepped(world: World): Promise<void> {
  await world.registry.create(SMALL);
  await request(world.registry, "small", (session) => step(session, GRADIENT));
}

for (const [what, make] of Object.entries(CHANGES)) {
  Deno.test(`a change of ${what} that cannot be written is not made, and can be made later`, async () => {
    for (const [message, code] of TROUBLE) {
      for (const taken of [0, 1, 35, 60]) {
        await using world = await newWorld();
        await stepped(world);
        const session = world.registry.get("small");
        const before = lasting(session), { runBytes } = world.registry.figures();
        let left = taken;
        world.disk.fault = (operation, _, bytes) => {
          if (operation !== "write") return;
          if (left === 0) throw new Error(message);
          const now = Math.min(left, bytes);
          left -= now;
          return now;
        };
        await refused(request(world.registry, "small", make), code);
        await refused(request(world.registry, "small", make), code);
        assert.deepEqual(await request(world.registry, "small", lasting), before);
        assert.equal(world.registry.get("small"), session, "nobody had to read it again");
        assert.equal(world.registry.figures().runBytes, runBytes);
        await world.restart();
        assert.deepEqual(lasting(world.registry.get("small")), before);
        await request(world.registry, "small", make);
        const after = lasting(world.registry.get("small"));
        assert.equal(after.description.version, before.description.version + 1);
        await world.restart();
        assert.deepEqual(lasting(world.registry.get("small")), after);
      }
    }
  });

  Deno.test(`a change of ${what} that cannot be flushed is not made, nor does it come back`, async () => {
    for (const [message, code] of TROUBLE) {
      for (const how of ["flush", "write and undo"]) {
        await using world = await newWorld();
        await stepped(world);
        const before = lasting(world.registry.get("small"));
        world.disk.fault = (operation) => {
          const fails = how === "flush" ? ["flush"] : ["write", "truncate"];
          if (fails.includes(operation)) throw new Error(message);
        };
        await refused(request(world.registry, "small", make), code);
        calm(world);
        assert.deepEqual(await request(world.registry, "small", lasting), before);
        await world.restart();
        assert.deepEqual(lasting(world.registry.get("small")), before);
        await request(world.registry, "small", make);
        const after = lasting(world.registry.get("small"));
        await world.restart(world.disk.powerCut());
        assert.deepEqual(lasting(world.registry.get("small")), after);
      }
    }
  });
}

Deno.test("a failed flush refuses all who wait, and those that have written meanwhile", async () => {
  await using world = await newWorld();
  await stepped(world);
  const before = lasting(world.registry.get("small"));
  const act = () => request(world.registry, "small", (session) => step(session, GRADIENT));
  let failures = 1;
  world.disk.fault = (operation) => {
    if (operation === "flush" && failures-- > 0) throw new Error(IO_ERROR);
  };
  const first = [act(), act()];
  // The flush is under way.
  await Promise.resolve();
  await Promise.resolve();
  const second = [act(), act()];
  for (const { status } of await Promise.allSettled([...first, ...second])) assert.equal(status, "rejected");
  assert.deepEqual(await request(world.registry, "small", lasting), before);
  await act();
  const after = lasting(world.registry.get("small"));
  assert.equal(after.description.version, 2);
  await world.restart(world.disk.powerCut());
  assert.deepEqual(lasting(world.registry.get("small")), after);
});

Deno.test("a run whose flushes fail for good is read all the same, and takes changes when they succeed", async () => {
  await using world = await newWorld();
  await stepped(world);
  const before = lasting(world.registry.get("small"));
  world.disk.fault = (operation) => {
    if (["flush", "write", "truncate", "resume", "sync"].includes(operation)) throw new Error(IO_ERROR);
  };
  for (let n = 0; n < 3; n++) {
    await refused(request(world.registry, "small", (session) => step(session, GRADIENT)), "storage_failed");
    assert.deepEqual(await request(world.registry, "small", lasting), before);
  }
  calm(world);
  await request(world.registry, "small", (session) => step(session, GRADIENT));
  assert.equal(world.registry.get("small").version, 2);
  const after = lasting(world.registry.get("small"));
  await world.restart(world.disk.powerCut());
  assert.deepEqual(lasting(world.registry.get("small")), after);
});

Deno.test("an upload that meets a run which was read again is told of storage, not of another run", async () => {
  await using world = await newWorld();
  await stepped(world);
  const old = world.registry.get("small");
  const staging = old.stage("gradients");
  failAt(world, 0, { always: true });
  await refused(request(world.registry, "small", (session) => step(session, GRADIENT)), "storage_failed");
  calm(world);
  await request(world.registry, "small", (session) => step(session, GRADIENT));
  assert.notEqual(world.registry.get("small"), old);
  assert.equal(codeOf(() => world.registry.confirm(old)), "storage_failed");
  staging.release();
});

Deno.test("create() that fails at any operation leaves nothing behind", async () => {
  await using world = await newWorld();
  const total = await operationsOf(world, () => world.registry.create({ ...SMALL, id: "first" }));
  assert.ok(total >= 12);
  const paths = world.disk.paths, figures = world.registry.figures();
  for (const [message, code] of TROUBLE) {
    for (let number = 0; number < total; number++) {
      const seen = failAt(world, number, { message });
      const creation = world.registry.create(SMALL, { key: `${code} ${number}`, hash: "h", at: 0 });
      // Removing what is not there may fail.
      if (seen.failed === "remove" || await settles(creation)) {
        await world.registry.delete("small");
        continue;
      }
      await refused(creation, code);
      calm(world);
      assert.deepEqual(world.disk.paths, paths, `${number}: ${seen.failed}`);
      assert.deepEqual(world.registry.figures(), figures, `${number}: ${seen.failed}`);
      assert.equal(await world.registry.creation({ key: `${code} ${number}`, hash: "h" }), undefined);
      assert.ok(!world.registry.has("small"));
    }
  }
  world.fault = (method) => {
    if (method === "put") throw new StepwellError("storage_failed", "The database is gone");
  };
  await refused(world.registry.create(SMALL), "storage_failed");
  world.fault = () => {};
  assert.deepEqual(world.disk.paths, paths);
  assert.deepEqual(world.registry.figures(), figures);
  await world.registry.create(SMALL);
  assert.equal(world.registry.get("small").version, 0);
});

async function settles(promise: Promise<unknown>): Promise<boolean> {
  return await promise.then(() => true, () => false);
}

Deno.test("a snapshot that fails at any operation costs nothing, and the next one is taken", async () => {
  let total = 1;
  for (let number = 0; number < total; number++) {
    for (const durability of ["journal", "snapshot"] as const) {
      await using world = await newWorld({ journalBytesMax: 0 });
      await world.registry.create({ ...SMALL, durability });
      const act = () => request(world.registry, "small", (session) => step(session, GRADIENT));
      await act();
      const before = lasting(world.registry.get("small"));
      const sweep = () => world.registry.sweep({ idleMs: 1e9 });
      if (number === 0) {
        total = Math.max(total, await operationsOf(world, sweep));
        await act();
      }
      const { publishedBytes } = world.registry.figures();
      const seen = failAt(world, number);
      await sweep();
      calm(world);
      const what = `${durability}, operation ${number}: ${seen.failed}`;
      assert.equal(world.registry.figures().publishedBytes, publishedBytes, what);
      if (number > 0) assert.deepEqual(await request(world.registry, "small", lasting), before, what);
      if (durability === "journal") {
        const disk = world.disk;
        await world.restart(disk.powerCut());
        if (number > 0) assert.deepEqual(lasting(world.registry.get("small")), before, what);
      }
      await act();
      const after = lasting(world.registry.get("small"));
      await sweep();
      assert.equal(world.registry.get("small").describe().snapshot_version, after.description.version, what);
      await world.restart(world.disk.powerCut());
      assert.deepEqual(lasting(world.registry.get("small")), after, what);
    }
  }
  assert.ok(total >= 10, `${total} operations`);
});

Deno.test("a snapshot meets changes that are written meanwhile, and holds none of them twice", async () => {
  await using world = await newWorld({ journalBytesMax: 0 });
  await stepped(world);
  const act = () => request(world.registry, "small", (session) => step(session, GRADIENT));
  const changes: Promise<unknown>[] = [];
  let count = 0;
  world.disk.fault = () => {
    // At every operation somebody else's request.
    if (count++ < 15) changes.push(setImmediate().then(act));
  };
  await world.registry.sweep({ idleMs: 1e9 });
  while (changes.length > 0) await changes.pop();
  calm(world);
  const after = lasting(world.registry.get("small"));
  assert.equal(after.description.version, 16);
  await world.restart(world.disk.powerCut());
  assert.deepEqual(lasting(world.registry.get("small")), after);
});

Deno.test("restore() that fails at any operation leaves the run that is there, or none", async () => {
  let total = 1;
  for (let number = 0; number < total; number++) {
    await using world = await newWorld();
    await stepped(world);
    await world.registry.create({ ...SMALL, id: "source", optimizer: "SGD" });
    const checkpoint = checkpointOf(world.registry.get("source"));
    const { registry } = world;
    if (number === 0) total = await operationsOf(world, () => restore(registry, "small", checkpoint));
    const before = lasting(registry.get("small")), figures = registry.figures(), paths = world.disk.paths;
    for (const id of ["small", "fork"]) {
      const seen = failAt(world, number);
      const isRestored = await settles(restore(registry, id, checkpoint));
      calm(world);
      if (isRestored) {
        // What is left of the run before is removed at the next start.
        assert.ok(seen.failed === undefined || ["remove", "removeFolder"].includes(seen.failed), seen.failed);
        continue;
      }
      assert.deepEqual(lasting(registry.get("small")), before, `${number}: ${seen.failed}`);
      assert.deepEqual(registry.figures(), figures, `${number}: ${seen.failed}`);
      assert.deepEqual(world.disk.paths, paths, `${number}: ${seen.failed}`);
      assert.ok(!registry.has("fork"));
    }
    await world.restart();
    const now = world.registry.get("small");
    if (number > 1) await request(world.registry, "small", (session) => step(session, GRADIENT));
    assert.deepEqual(variablesOf(now), variablesOf(world.registry.get("small")));
  }
});

Deno.test("delete() that cannot be recorded leaves the run; files that stay are not a run", async () => {
  await using world = await newWorld();
  await stepped(world);
  const before = lasting(world.registry.get("small"));
  world.fault = (method) => {
    if (method === "remove") throw new StepwellError("storage_failed", "The database is gone");
  };
  await refused(world.registry.delete("small"), "storage_failed");
  assert.deepEqual(lasting(world.registry.get("small")), before);
  assert.deepEqual((await world.registry.list({ limit: 10 })).runs.map(({ id }) => id), ["small"]);
  world.fault = () => {};
  await request(world.registry, "small", (session) => step(session, GRADIENT));
  world.disk.fault = (operation) => {
    if (operation === "removeFolder") throw new Error(IO_ERROR);
  };
  await world.registry.delete("small");
  assert.ok(!world.registry.has("small"));
  assert.ok(world.disk.paths.length > 0);
  await world.restart();
  assert.ok(!world.registry.has("small"));
});

Deno.test("a run that cannot be read at the moment is not damaged", async () => {
  await using world = await newWorld();
  await stepped(world);
  const before = lasting(world.registry.get("small"));
  await world.restart();
  const total = await operationsOf(world, async () => await world.registry.get("small"));
  for (let number = 0; number < total; number++) {
    await world.restart();
    failAt(world, number, { message: "Too many open files (os error 24)" });
    assert.equal(codeOf(() => world.registry.get("small")), "storage_failed");
    assert.equal(world.registry.figures().runBytes, 0);
    calm(world);
    assert.deepEqual(lasting(world.registry.get("small")), before);
  }
});
