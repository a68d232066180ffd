/** Users' optimizers: registered, used by runs, kept across restarts, contained in checkpoints. */
import assert from "node:assert/strict";
import { compiledCount } from "../../../kernels/compiler/compile.ts";
import type { CheckpointFile } from "../../../src/run/api/checkpoints.ts";
import { Memory } from "../../../src/run/tensors/memory.ts";
import type { Registry } from "../../../src/run/registry/registry.ts";
import { tryOut } from "../../../src/run/registry/trial.ts";
import { tensorFileReader } from "../../../src/wire/tensor_file.ts";
import { SPARSE_SIGNUM as SIGNUM } from "../../support/signum.ts";
import { codeOf, codeOfAsync, newRegistry, slotsOf, step, variablesOf } from "../support/harness.ts";
import { lasting, newWorld, refused, request } from "../support/stored.ts";
import type { TensorTarget } from "../../../src/tensor.ts";
import { atOnce } from "../../../src/slices.ts";

const SPEC = {
  id: "run",
  optimizer: { class_name: "Signum", config: { learning_rate: 0.5, beta: 0.5 } },
  variables: [{ name: "x", shape: [3], initial: [1, 2, 3] }],
};

Deno.test("a registered optimizer steps runs", async () => {
  const registry = newRegistry();
  await registry.optimizers.register(SIGNUM);
  const run = await registry.create(SPEC);
  step(run, { x: [4, -2, 0] });
  assert.deepEqual(variablesOf(run), { x: [0.5, 2.5, 3] });
  assert.deepEqual(slotsOf(run), { velocity: { x: [2, -1, 0] } });
  step(run, { x: { indices: [1], values: [8] } });
  assert.deepEqual(variablesOf(run), { x: [0.5, 2, 3] });
  assert.deepEqual(slotsOf(run), { velocity: { x: [1, 3.5, 0] } });
});

Deno.test("a copy of a built-in optimizer compiles nothing that the built-in one has compiled", async () => {
  const registry = newRegistry();
  const variables = [{ name: "x", shape: [3, 2] }];
  const steps = async (optimizer: string) => {
    const run = await registry.create({ optimizer, variables });
    step(run, { x: [[1, 2], [3, 4], [5, 6]] });
    step(run, { x: { indices: [1], values: [[1, 2]] } });
  };
  const definition = { ...registry.optimizers.definition("Adam"), class_name: "Copy" };
  await steps("Adam");
  // The trial also needs kernels for repeated rows.
  tryOut(definition, new Memory({ bytesMax: 2 ** 24 }));
  const before = compiledCount();
  await registry.optimizers.register(definition);
  await steps("Copy");
  assert.equal(compiledCount(), before);
});

Deno.test("a registered optimizer's first step compiles nothing, because its trial has done that", async () => {
  const registry = newRegistry();
  await registry.optimizers.register({ ...SIGNUM, dense: [...SIGNUM.dense, "w = w * 0.75"] });
  const before = compiledCount();
  step(await registry.create(SPEC), { x: [4, -2, 0] });
  assert.equal(compiledCount(), before);
});

Deno.test("register() is idempotent, and refuses another definition under the name", async () => {
  const { optimizers } = newRegistry();
  const first = await optimizers.register(SIGNUM);
  assert.equal(first.created, true);
  assert.deepEqual(await optimizers.register(SIGNUM), { ...first, created: false });
  // The full form is the same definition.
  assert.deepEqual(await optimizers.register(first.definition), { ...first, created: false });
  const other = { ...SIGNUM, slots: { velocity: { initial: 1 } } };
  assert.equal(await codeOfAsync(() => optimizers.register(other)), "optimizer_exists");
  assert.equal(
    await codeOfAsync(() => optimizers.register({ ...SIGNUM, class_name: "SIGNUM" })),
    "optimizer_exists",
  );
  assert.equal(
    await codeOfAsync(() => optimizers.register({ ...SIGNUM, class_name: "aDAM" })),
    "optimizer_exists",
  );
});

Deno.test("register() accepts one of two concurrent definitions", async () => {
  const { optimizers } = newRegistry();
  const other = { ...SIGNUM, slots: { velocity: { initial: 1 } } };
  const results = await Promise.allSettled([SIGNUM, SIGNUM, other].map((each) => optimizers.register(each)));
  assert.deepEqual(results.map(({ status }) => status), ["fulfilled", "fulfilled", "rejected"]);
});

Deno.test("a registered optimizer and its runs are recovered after the process died", async () => {
  await using world = await newWorld();
  await world.registry.optimizers.register(SIGNUM);
  await world.registry.create(SPEC);
  await request(world.registry, "run", (run) => step(run, { x: [4, -2, 0] }));
  const before = lasting(world.registry.get("run"));
  await world.restart();
  assert.deepEqual(lasting(world.registry.get("run")), before);
  assert.deepEqual(world.registry.optimizers.definition("Signum").dense, SIGNUM.dense);
  await request(world.registry, "run", (run) => step(run, { x: [-9, 0, 0] }));
});

Deno.test("remove() refuses an optimizer that a run uses, in memory or on disk", async () => {
  await using world = await newWorld();
  const { register } = world.registry.optimizers;
  await register.call(world.registry.optimizers, SIGNUM);
  await world.registry.create(SPEC);
  await refused(world.registry.optimizers.remove("Signum"), "optimizer_in_use");
  await world.restart();
  // The run has not been read yet.
  assert.equal(world.registry.figures().runsInMemory, 0);
  await refused(world.registry.optimizers.remove("Signum"), "optimizer_in_use");
  await world.registry.delete("run");
  await world.registry.optimizers.remove("Signum");
  await refused(world.registry.optimizers.remove("Signum"), "unknown_optimizer");
  await refused(world.registry.create(SPEC), "unknown_class");
  await world.restart();
  await refused(world.registry.create(SPEC), "unknown_class");
});

Deno.test("remove() refuses built-in optimizers", async () => {
  assert.equal(await codeOfAsync(() => newRegistry().optimizers.remove("Adam")), "optimizer_in_use");
});

Deno.test("register() and remove() change nothing when the storage fails", async () => {
  await using world = await newWorld();
  const { optimizers } = world.registry;
  world.fault = (method) => {
    if (method.endsWith("Optimizer")) throw new Error("The disk is gone");
  };
  await assert.rejects(optimizers.register(SIGNUM));
  assert.equal(codeOf(() => optimizers.definition("Signum")), "unknown_optimizer");
  world.fault = () => {};
  await optimizers.register(SIGNUM);
  world.fault = (method) => {
    if (method.endsWith("Optimizer")) throw new Error("The disk is gone");
  };
  await assert.rejects(optimizers.remove("Signum"));
  assert.equal(optimizers.definition("Signum").class_name, "Signum");
});

Deno.test("a checkpoint contains its optimizer", async () => {
  const from = newRegistry();
  await from.optimizers.register(SIGNUM);
  const run = await from.create({ ...SPEC, durability: "none" });
  step(run, { x: [4, -2, 0] });
  const bytes = await bytesOf((await from.checkpoint("run")).file as CheckpointFile);

  const to = newRegistry();
  const restored = await restore(to, bytes);
  assert.deepEqual(variablesOf(restored), variablesOf(run));
  assert.deepEqual(to.optimizers.definition("Signum"), from.optimizers.definition("Signum"));
  step(run, { x: [1, 1, -1] });
  step(restored, { x: [1, 1, -1] });
  assert.deepEqual(variablesOf(restored), variablesOf(run));
});

Deno.test("a checkpoint is refused if its optimizer's name has another meaning", async () => {
  const from = newRegistry();
  await from.optimizers.register(SIGNUM);
  await from.create({ ...SPEC, durability: "none" });
  const bytes = await bytesOf((await from.checkpoint("run")).file as CheckpointFile);
  const to = newRegistry();
  await to.optimizers.register({ ...SIGNUM, slots: { velocity: { initial: 1 } } });
  assert.equal(await codeOfAsync(() => restore(to, bytes)), "optimizer_exists");
  assert.equal(to.has("run"), false);
});

async function bytesOf({ body }: CheckpointFile): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await new Response(body).arrayBuffer());
}

async function restore(registry: Registry, bytes: Uint8Array<ArrayBuffer>) {
  const restoration = registry.restore("run");
  try {
    let target: TensorTarget | undefined;
    const later = () => target as TensorTarget;
    const reader = tensorFileReader({
      dense: (name, tensor) => later().dense(name, tensor),
      sparse: (name, indices, values) => later().sparse(name, indices, values),
      none: (name) => later().none(name),
    }, {
      fileBytes: bytes.length,
      onMetadata: (metadata) => void (target = atOnce(restoration.begin(metadata))),
    });
    reader.write(bytes);
    reader.close();
    await restoration.commit();
    return registry.get("run");
  } finally {
    restoration.release();
  }
}

Deno.test("an optimizer survives the loss of its record, and damage to its file", async () => {
  const notices: string[] = [];
  await using world = await newWorld({ onNotice: ({ message }) => void notices.push(message) });
  const { definition } = await world.registry.optimizers.register(SIGNUM);
  const isThere = () =>
    world.registry.optimizers.family.members.some(({ class_name }) => class_name === definition.class_name);
  await world.configs.removeOptimizer(definition.class_name);
  await world.restart();
  assert.ok(isThere());
  assert.equal(notices.length, 1);
  const [path = ""] = world.disk.paths.filter((path) => path.includes("/optimizers/"));
  world.disk.put(path, world.disk.bytesOf(path).slice(0, 20));
  await world.restart();
  assert.ok(isThere());
  assert.equal(notices.length, 2);
  await world.restart();
  await world.registry.optimizers.remove(definition.class_name);
  await world.restart(world.disk.powerCut());
  assert.ok(!isThere());
});
