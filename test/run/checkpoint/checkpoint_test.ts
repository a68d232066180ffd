/**
 * Checkpoints and restores: a restored run steps on with the same bits; a refused checkpoint leaves nothing behind.
 */
import assert from "node:assert/strict";
import { type Checkpoint, checkpointOf, restore } from "./support/checkpoints.ts";
import {
  codeOf,
  codeOfAsync,
  newRegistry,
  refusalAsync,
  slotsOf,
  stateOf,
  step,
  variablesOf,
} from "../support/harness.ts";
import { gradientsOf, specOf, VARIANTS } from "../support/variants.ts";
import { atOnce } from "../../../src/slices.ts";

/** The state that two runs share after the same steps: everything except versions and remembered steps. */
function common(session: Parameters<typeof stateOf>[0]) {
  const { version: _, steps: __, ...rest } = stateOf(session);
  return rest;
}

Deno.test("a restored run steps on with the same bits, whatever the optimizer", async () => {
  const registry = newRegistry();
  for (const variant of VARIANTS) {
    const spec = specOf(variant, { gradient_transformers: ["Centralize"], non_finite: "skip" });
    const one = await registry.create(spec);
    for (const seed of [0, 1, 2]) {
      const other = await restore(registry, `${one.id}-${seed}`, checkpointOf(one));
      for (const sparse of [true, false]) {
        const gradients = gradientsOf(seed, { sparse });
        const { version: _, ...answer } = step(one, gradients);
        const { version: __, ...again } = step(other, gradients);
        assert.deepEqual(again, answer, variant.label);
        assert.deepEqual(common(other), common(one), variant.label);
      }
      assert.deepEqual(other.describe().gradient_transformers, one.describe().gradient_transformers);
      assert.equal(other.describe().non_finite, "skip");
    }
  }
});

Deno.test("a checkpoint round trip gives the same checkpoint again", async () => {
  const registry = newRegistry();
  for (const variant of VARIANTS) {
    const session = await registry.create(specOf(variant));
    step(session, gradientsOf(0));
    const one = checkpointOf(session);
    const other = checkpointOf(await restore(registry, "copy", one));
    // Counts that differ for the copy.
    const own = { version: 0, sequence: 0, round: 0, created_at: 0 };
    assert.deepEqual({ ...other.saved, ...own }, { ...one.saved, ...own });
    assert.deepEqual(other.tensors, one.tensors);
  }
});

Deno.test("a restored run keeps what a config lacks: overwritten attributes, a constraint, a bare number", async () => {
  const registry = newRegistry();
  const session = await registry.create({
    optimizer: { class_name: "Adam", config: { amsgrad: true, decay: 0.5 } },
    variables: [{ name: "w", shape: [2], initial: 1, constraint: "UnitNorm" }, { name: "b", shape: [] }],
  });
  step(session, { b: 1 });
  session.patchOptimizer({
    epsilon: 0,
    clipnorm: 2,
    learning_rate: { class_name: "CosineDecay", config: { initial_learning_rate: 1, decay_steps: 9 } },
  });
  session.patchOptimizer({ learning_rate: 0.1, amsgrad: false });
  const other = await restore(registry, "copy", checkpointOf(session));
  assert.deepEqual(common(other), common(session));
  assert.deepEqual(other.slotNames(), ["m", "v", "vhat"]);
  assert.deepEqual(other.describe().variables, session.describe().variables);
  for (const amsgrad of [false, true]) {
    for (const each of [session, other]) {
      each.patchOptimizer({ amsgrad });
      step(each, { w: [3, 4], b: 2 });
    }
    assert.deepEqual(common(other), common(session));
  }
});

Deno.test("a checkpoint holds scalars that are no JSON numbers", async () => {
  const registry = newRegistry();
  const session = await registry.create({ optimizer: "Nadam", variables: [{ name: "w", shape: [] }] });
  step(session, { w: 1 });
  for (const cache of ["NaN", "Infinity", "-Infinity"]) {
    session.setWeights([1, cache, 0, 0]);
    const other = await restore(registry, "copy", checkpointOf(session));
    assert.deepEqual(common(other), common(session));
  }
});

Deno.test("restore() replaces a run, with a version that was never used", async () => {
  const registry = newRegistry();
  const [variant] = VARIANTS as [typeof VARIANTS[number]];
  const session = await registry.create(specOf(variant));
  const early = checkpointOf(session);
  for (const seed of [1, 2, 3]) step(session, gradientsOf(seed));
  const again = await restore(registry, session.id, early);
  assert.notEqual(again, session);
  assert.deepEqual([again.version, again.iterations], [4, 0]);
  assert.equal(codeOf(() => step(session, gradientsOf(1))), "run_replaced");
  const late = { ...early, saved: { ...early.saved, version: 70 } };
  assert.equal((await restore(registry, session.id, late)).version, 71);
  assert.equal(registry.figures().runs, 1);
});

Deno.test("restore() refuses a new run at the limit of runs, but accepts one for an existing run", async () => {
  const registry = newRegistry({ runsMax: 1 });
  const session = await registry.create({ optimizer: "SGD", variables: [{ name: "w", shape: [] }] });
  const checkpoint = checkpointOf(session);
  assert.equal(await codeOfAsync(() => restore(registry, "other", checkpoint)), "too_many_runs");
  await restore(registry, session.id, checkpoint);
  assert.equal(registry.has("other"), false);
});

const TAMPERED: Record<string, (checkpoint: Checkpoint) => unknown> = {
  "a later format": ({ saved }) => saved.format_version = 2,
  "an unknown key": ({ saved }) => saved.extra = 1,
  "no iterations": ({ saved }) => delete saved.iterations,
  "negative iterations": ({ saved }) => saved.iterations = -1,
  "half an iteration": ({ saved }) => saved.iterations = 0.5,
  "iterations of a run that never stepped": ({ saved }) => saved.hypers_created = false,
  "an unknown optimizer": ({ saved }) => saved.optimizer.class_name = "Best",
  "another optimizer": ({ saved }) => saved.optimizer = { ...saved.optimizer, class_name: "Adam" },
  "a config out of range": ({ saved }) => saved.optimizer.current.beta_1 = "much",
  "no scalar state": ({ saved }) => saved.scalars = {},
  "scalar state of another optimizer": ({ saved }) => saved.scalars = { cache: 1 },
  "scalar state that is no number": ({ saved }) => saved.scalars.momentum_cache = "big",
  "scalar state that is an array": ({ saved }) => saved.scalars.momentum_cache = [1],
  "a slot named as the variable in formulas": ({ saved }) => saved.slots.push("w"),
  "a slot of another optimizer": ({ saved }) => saved.slots.push("vhat"),
  "a created slot that is none": ({ saved }) => saved.created[0].slot = "vhat",
  "a created slot of no variable": ({ saved }) => saved.created[0].variable = "other",
  "a variable of a negative size": ({ saved }) => saved.spec.variables[1].shape = [-19],
  "a variable of another shape": ({ saved }) => saved.spec.variables[1].shape = [20],
  "a variable without end": ({ saved }) => saved.spec.variables[1].shape = [2 ** 52, 2 ** 52],
  "a variable twice": ({ saved }) => saved.spec.variables.push(saved.spec.variables[0]),
  "no variables": ({ saved }) => saved.spec.variables = [],
  "a constraint that does not suit": ({ saved }) => saved.spec.variables[1].constraint = "RadialConstraint",
  "an unknown policy": ({ saved }) => saved.spec.non_finite = "hope",
  "an unknown transformer": ({ saved }) => saved.spec.gradient_transformers = ["Better"],
  "no metadata": (checkpoint) => checkpoint.saved = undefined,
  "a tensor too few": ({ tensors }) => tensors.pop(),
  "a tensor twice": ({ tensors }) => tensors.push(...tensors.slice(0, 1)),
  "a tensor too many": ({ tensors }) => tensors.push({ ...tensors[0]!, name: "variables/other" }),
  "a tensor of another shape": ({ tensors }) => tensors[1] = { ...tensors[1]!, shape: [1, 19] },
};

Deno.test("restore() refuses a checkpoint that was tampered with, and releases all memory", async () => {
  const registry = newRegistry();
  const nadam = VARIANTS.find(({ optimizer }) => optimizer.class_name === "Nadam") as typeof VARIANTS[number];
  const session = await registry.create(specOf(nadam));
  step(session, gradientsOf(0));
  const before = stateOf(session), figures = registry.figures();
  for (const [what, tamper] of Object.entries(TAMPERED)) {
    for (const id of [session.id, "new"]) {
      const checkpoint = checkpointOf(session);
      checkpoint.saved = structuredClone(checkpoint.saved);
      tamper(checkpoint);
      const { code } = await refusalAsync(() => restore(registry, id, checkpoint));
      const expected = [
        "invalid_request",
        "invalid_config",
        "unknown_class",
        "run_too_large",
        "invalid_number",
      ];
      assert(expected.includes(code), `${what}: ${code}`);
    }
    assert.deepEqual(stateOf(session), before, what);
    assert.deepEqual(registry.figures(), figures, what);
  }
  await restore(registry, "new", checkpointOf(session));
});

Deno.test("restore() refuses tensors that are sparse, null or not F32", async () => {
  const registry = newRegistry();
  const session = await registry.create({ optimizer: "SGD", variables: [{ name: "w", shape: [2] }] });
  const { saved } = checkpointOf(session);
  const restoration = registry.restore("new");
  const target = atOnce(restoration.begin(new Map([["stepwell", JSON.stringify(saved)]])));
  const wire = { dtype: "F32", shape: [1] } as const;
  assert.equal(codeOf(() => target.dense("variables/w", { dtype: "F16", shape: [2] })), "invalid_request");
  assert.equal(
    codeOf(() => target.sparse("variables/w", { dtype: "I32", shape: [1] }, wire)),
    "invalid_request",
  );
  assert.equal(codeOf(() => target.none("variables/w")), "invalid_request");
  assert.equal(await codeOfAsync(() => restoration.commit()), "invalid_request");
  restoration.release();
  restoration.release();
  assert.equal(registry.has("new"), false);
});

Deno.test("checkpoint() is a copy that later steps do not change, counted until it is released", async () => {
  const registry = newRegistry();
  const session = await registry.create(specOf(VARIANTS[1] as typeof VARIANTS[number]));
  step(session, gradientsOf(0));
  const wanted = { variables: variablesOf(session), slots: slotsOf(session) };
  const published = registry.figures().publishedBytes;
  const { tensors, release, version, iterations } = session.checkpoint();
  const { bytes } = session.describe();
  assert.equal(registry.figures().publishedBytes - published, bytes);
  step(session, gradientsOf(1));
  assert.deepEqual([version, iterations], [1, 1]);
  const found = Object.fromEntries(tensors.map(({ name, values }) => [name, [...values]]));
  for (const [name, values] of Object.entries(wanted.variables)) {
    assert.deepEqual(found[`variables/${name}`], values);
    assert.deepEqual(found[`slots/momentum/${name}`], wanted.slots["momentum"]?.[name]);
  }
  release();
  release();
  assert.equal(registry.figures().publishedBytes, 0);
});
