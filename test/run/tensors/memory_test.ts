/** The memory of runs: runs do not affect each other, the bound holds, and abandoned memory is free again. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { StepwellError } from "../../../src/errors.ts";
import { Memory } from "../../../src/run/tensors/memory.ts";
import type { Registry } from "../../../src/run/registry/registry.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { checkpointOf, restore } from "../checkpoint/support/checkpoints.ts";
import { newRegistry, numbers, refusal, stateOf, step, tensor } from "../support/harness.ts";
import { gradientsOf, specOf, VARIANTS } from "../support/variants.ts";

const MEBIBYTE = 2 ** 20;

type Action = { do: "create" | "step" | "delete"; which: number; seed: number };

const action: fc.Arbitrary<Action> = fc.record({
  do: fc.constantFrom("create", "step", "step", "step", "delete"),
  which: fc.nat({ max: 1000 }),
  seed: fc.nat({ max: 20 }),
});

/** Performs each action on runs that share an arena and on twins that each have a registry of their own. */
async function perform(actions: readonly Action[]): Promise<void> {
  const registry = newRegistry();
  const pairs: { shared: Session; alone: Session }[] = [];
  for (const { do: what, which, seed } of actions) {
    if (what === "create" || pairs.length === 0) {
      const spec = specOf(VARIANTS[which % VARIANTS.length] as typeof VARIANTS[number]);
      pairs.push({ shared: await registry.create(spec), alone: await newRegistry().create(spec) });
    }
    const place = which % pairs.length;
    const { shared, alone } = pairs[place] as typeof pairs[number];
    if (what === "step") {
      for (const session of [shared, alone]) step(session, gradientsOf(seed, { sparse: seed % 2 === 1 }));
    }
    if (what === "delete") {
      await registry.delete(shared.id);
      pairs.splice(place, 1);
    }
  }
  for (const { shared, alone } of pairs) assert.deepEqual(stateOf(shared), stateOf(alone));
  assert.equal(registry.figures().arenas, 1);
}

Deno.test("runs that share an arena do not affect each other", async () => {
  await fc.assert(fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 40 }), perform), {
    numRuns: 30,
  });
});

Deno.test("create() refuses a run that does not fit into memory, and leaves nothing allocated", async () => {
  const registry = newRegistry({ memoryBytesMax: 24 * MEBIBYTE });
  const create = (name: string, mebibytes: number, optimizer = "SGD") =>
    registry.create({ id: name, optimizer, variables: [{ name: "w", shape: [mebibytes * MEBIBYTE / 4] }] });
  await create("one", 10);
  const figures = registry.figures();
  await assert.rejects(create("two", 16), { code: "out_of_memory" });
  await assert.rejects(create("two", 5, "Adam"), { code: "out_of_memory" });
  await assert.rejects(create("two", 2049), { code: "run_too_large" });
  const after = registry.figures();
  assert.deepEqual([after.runs, after.runBytes], [figures.runs, figures.runBytes]);
  // The arena that a refused run had begun to fill is kept for the next one, with the size it had by then.
  assert(after.arenaBytes <= 24 * MEBIBYTE);
  for (let n = 0; n < 20; n++) await assert.rejects(create("two", 16), { code: "out_of_memory" });
  assert.deepEqual(registry.figures(), after);
  await create("two", 10);
  await registry.delete("one");
  await create("three", 10);
  assert.equal(registry.figures().arenas, 2);
});

Deno.test("a step without memory for its gradients is refused and changes nothing", async () => {
  const registry = newRegistry({ memoryBytesMax: 10 * MEBIBYTE });
  const count = 2 * MEBIBYTE;
  const session = await registry.create({ optimizer: "SGD", variables: [{ name: "w", shape: [count] }] });
  const staging = session.stage("gradients");
  const { code, message } = refusal(() => staging.dense("w", { dtype: "F32", shape: [count] }));
  assert.equal(code, "out_of_memory");
  assert.match(message, /^Cannot allocate 8388608 more bytes: \d+ of at most 10485760 bytes are in use$/);
  staging.release();
  assert.equal(session.version, 0);
  // Rows still fit.
  step(session, { w: { indices: [7, 7], values: [1, 2] } });
  assert.equal(session.gather("w", [7], { bytesMax: 4 }).values[0], Math.fround(-0.03));
});

Deno.test("patchOptimizer() refuses a slot without memory for it, and changes nothing", async () => {
  const registry = newRegistry({ memoryBytesMax: 14 * MEBIBYTE });
  const session = await registry.create({ optimizer: "Adam", variables: [{ name: "w", shape: [MEBIBYTE] }] });
  const figures = registry.figures();
  assert.equal(refusal(() => session.patchOptimizer({ amsgrad: true })).code, "out_of_memory");
  assert.deepEqual([session.version, session.slotNames()], [0, ["m", "v"]]);
  assert.equal(session.optimizer().config["amsgrad"], false);
  assert.deepEqual(registry.figures(), figures);
});

Deno.test("publish() and checkpoint() are refused without memory for a copy, and use that of idle arenas", async () => {
  const registry = newRegistry({ memoryBytesMax: 24 * MEBIBYTE });
  const variables = [{ name: "w", shape: [2 * MEBIBYTE] }];
  await registry.create({ id: "one", optimizer: "SGD", variables });
  const session = await registry.create({ id: "two", optimizer: "SGD", variables });
  assert.equal(refusal(() => session.publish()).code, "out_of_memory");
  assert.equal(refusal(() => session.checkpoint()).code, "out_of_memory");
  assert.equal(registry.figures().publishedBytes, 0);
  await registry.delete("one");
  session.checkpoint().release();
  session.publish().release();
  assert.equal(registry.figures().publishedBytes, 8 * MEBIBYTE);
});

Deno.test("allocate() reclaims borrowed regions of the arena before it evicts an idle run", () => {
  const done: string[] = [];
  const onPressure = () => done.push("pressure") > 99;
  const memory = new Memory({ bytesMax: 8 * MEBIBYTE, onPressure });
  const arena = memory.place(2 * MEBIBYTE), other = memory.place(2 * MEBIBYTE);
  const regions = [memory.allocate(arena, 3 * MEBIBYTE), memory.allocate(arena, 3 * MEBIBYTE)];
  memory.borrow(arena, () => {
    done.push("given back");
    memory.release(arena, regions[1] as number);
  });
  memory.borrow(arena, () => done.push("not borrowed any more")).release();
  // There is enough memory so far.
  memory.release(arena, memory.allocate(arena, MEBIBYTE));
  assert.throws(() => memory.allocate(other, 3 * MEBIBYTE), { code: "out_of_memory" });
  assert.deepEqual(done, ["pressure"]);
  memory.allocate(arena, 3 * MEBIBYTE);
  assert.deepEqual(done, ["pressure", "given back"]);
  assert.throws(() => memory.allocate(arena, 3 * MEBIBYTE), { code: "out_of_memory" });
  assert.deepEqual(done, ["pressure", "given back", "pressure"]);
});

/** Operations that can be begun and abandoned again and again; each leaves the registry as it was. */
const GIVEN_UP: Record<string, (registry: Registry, id: string) => Promise<void>> = {
  "a run": async (registry, id) => {
    step(await registry.create({ id, ...SMALL }), { w: { indices: [1], values: [1] } });
    await registry.delete(id);
  },
  "an upload that outlives its run": async (registry, id) => {
    const staging = (await registry.create({ id, ...SMALL })).stage("gradients");
    staging.dense("w", { dtype: "F32", shape: [COUNT] });
    await registry.delete(id);
    staging.release();
  },
  "an upload": (registry) => {
    const staging = registry.get("kept").stage("gradients");
    staging.dense("w", { dtype: "BF16", shape: [COUNT] });
    staging.release();
    return Promise.resolve();
  },
  "a run whose values are wrong": async (registry, id) => {
    const variables = [...SMALL.variables, { name: "b", shape: [2], initial: [1] }];
    await assert.rejects(registry.create({ ...SMALL, id, variables }), { code: "shape_mismatch" });
  },
  "a restoration that ends early": (registry, id) => {
    const restoration = registry.restore(id);
    restoration.begin(new Map([["stepwell", JSON.stringify(checkpointOf(registry.get("kept")).saved)]]));
    restoration.release();
    return Promise.resolve();
  },
  "a restoration of itself": async (registry) => {
    await restore(registry, "kept", checkpointOf(registry.get("kept")));
  },
  "a copy for readers": (registry) => {
    registry.get("kept").publish().release();
    registry.get("kept").patchOptimizer({ learning_rate: 0.5 });
    return Promise.resolve();
  },
};

const COUNT = 50_000;
const SMALL = { optimizer: "Adam", variables: [{ name: "w", shape: [COUNT] }] };

for (const [what, act] of Object.entries(GIVEN_UP)) {
  Deno.test(`no memory is lost when ${what} is abandoned`, async () => {
    const registry = newRegistry();
    await registry.create({ id: "kept", ...SMALL });
    await act(registry, "other");
    const figures = { ...registry.figures(), steps: 0 };
    for (let n = 0; n < 30; n++) await act(registry, "other");
    assert.deepEqual({ ...registry.figures(), steps: 0 }, figures);
    assert.equal(figures.stagingBytes + figures.publishedBytes, 0);
  });
}

Deno.test("the memory of a large run is used for the next one", async () => {
  const registry = newRegistry();
  const create = (id: string, count: number) =>
    registry.create({ id, optimizer: "Adam", variables: [{ name: "w", shape: [count] }] });
  await create("one", MEBIBYTE);
  const { arenaBytes } = registry.figures();
  for (let n = 0; n < 5; n++) {
    await registry.delete("one");
    const session = await create("one", MEBIBYTE - 1000 * n);
    assert.deepEqual(session.readSlot("v")[0]?.values.some((x) => x !== 0), false);
    step(session, { w: { indices: [0], values: [1] } });
  }
  assert.equal(registry.figures().arenas, 1);
  assert(registry.figures().arenaBytes < 1.2 * arenaBytes);
});

Deno.test("Memory has nothing in use after runs, uploads and copies have ended", () => {
  const memory = new Memory({ bytesMax: 64 * MEBIBYTE });
  const arena = memory.place(2 * MEBIBYTE);
  const start = memory.figures();
  const offsets = [1, 100, MEBIBYTE].map((bytes) => memory.allocate(arena, bytes));
  const published = memory.publish(1000);
  assert.throws(() => memory.allocate(arena, 63 * MEBIBYTE), StepwellError);
  assert.throws(() => memory.publish(64 * MEBIBYTE), StepwellError);
  published.release();
  for (const offset of offsets) memory.release(arena, offset);
  assert.deepEqual({ ...memory.figures(), arenaBytes: 0 }, { ...start, arenaBytes: 0 });
  assert.equal(memory.place(2 * MEBIBYTE), arena);
});

Deno.test("2,000 small runs are created, stepped, read and deleted in little memory", async () => {
  const registry = newRegistry();
  const gradient = tensor([10, 10], numbers(100, { seed: 1 }));
  const variables = [{ name: "w", shape: [10, 10], initial: 1 }, { name: "b", shape: [10] }];
  for (let n = 0; n < 2000; n++) {
    const session = await registry.create({ optimizer: "Adam", variables });
    step(session, { w: gradient, b: null });
  }
  const { runs, steps, runBytes, arenaBytes, arenas } = registry.figures();
  assert.deepEqual([runs, steps, runBytes], [2000, 2000, 2000 * 110 * 4 * 3]);
  assert(arenas <= 2 && arenaBytes < 2 * runBytes, `${arenas} arenas of ${arenaBytes} bytes for ${runBytes}`);
  const [first, last] = ["run-0", "run-1999"].map((id) => registry.get(id).publish(["w"]).tensors[0]?.values);
  assert.deepEqual(first, last);
  for (let n = 0; n < 2000; n++) await registry.delete(`run-${n}`);
  assert.equal(registry.figures().runBytes, 0);
});
