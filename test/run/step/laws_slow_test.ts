/** Laws over every optimizer in every variant. A new optimizer is tested as soon as it is in its family's list. */
import assert from "node:assert/strict";
import { compiledCount } from "../../../kernels/compiler/compile.ts";
import { runInterpreted } from "../../../kernels/compiler/runner.ts";
import { parseConfig } from "../../../src/families/mechanism/family.ts";
import { optimizers } from "../../../src/families/optimizers/mod.ts";
import { ruleOfConfig } from "../../../src/families/optimizers/optimizer.ts";
import type { RunSpec } from "../../../src/run/api/run_spec.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { newRegistry, numbers, slotsOf, stateOf, step, tensor, variablesOf } from "../support/harness.ts";
import { gradientsOf, SHAPES, sizeOf, specOf, type Variant, VARIANTS } from "../support/variants.ts";

const compiled = newRegistry();
const interpreted = newRegistry({ runner: runInterpreted });

const openRun = (variant: Variant, spec: Partial<RunSpec> = {}) => compiled.create(specOf(variant, spec));

for (const special of [false, true]) {
  Deno.test(`compiled and interpreted runs have the same bits when gradients are ${special ? "special" : "ordinary"}`, async () => {
    for (const variant of VARIANTS) {
      const spec = specOf(variant, { non_finite: "propagate" });
      const one = await compiled.create(spec);
      const other = await interpreted.create({ ...spec, id: one.id });
      for (const [seed, sparse] of [false, true, true, false].entries()) {
        const gradients = gradientsOf(seed, { sparse, special });
        assert.deepEqual(step(one, gradients), step(other, gradients), variant.label);
        assert.deepEqual(stateOf(one), stateOf(other), `${variant.label}, step ${seed}`);
      }
    }
  });
}

Deno.test("the second step compiles nothing, whatever its hyperparameters", async () => {
  for (const variant of VARIANTS) {
    for (const sparse of [false, true]) {
      const session = await openRun(variant);
      step(session, gradientsOf(0, { sparse }));
      const before = compiledCount();
      session.patchOptimizer({ [variant.rateKey]: 0.01 });
      step(session, gradientsOf(1, { sparse }));
      step(session, gradientsOf(2, { sparse }), { hyperparameters: { [variant.rateKey]: 0.5 } });
      assert.equal(compiledCount(), before, variant.label);
    }
  }
});

/**
 * Optimizers that change a variable without a gradient: by a decay of their own, because they discard its value, or
 * because they make NaN of it, as TensorFlow.js does.
 */
const MOVES_AT_ZERO = new Set([
  "Ftrl",
  "keras.optimizers Ftrl",
  "optax yogi",
  "torch.optim ASGD",
  'tfjs RMSProp {"centered":true}',
]);

/** The config of a variant with every default. */
function configOf({ optimizer }: Variant): Record<string, unknown> {
  const { member, given } = optimizers.read(optimizer);
  return parseConfig(member, given);
}

Deno.test("a zero first gradient changes nothing, except with decay and with Ftrl, which discards the value", async () => {
  for (const variant of VARIANTS) {
    const { class_name, module } = variant.optimizer;
    const moves = [`${module ?? ""} ${class_name}`.trimStart(), variant.label]
      .some((name) => MOVES_AT_ZERO.has(name));
    const decays = Number(configOf(variant)["weight_decay"] ?? 0) > 0;
    const session = await openRun(variant);
    const before = variablesOf(session);
    step(
      session,
      Object.fromEntries(
        Object.entries(SHAPES).map((
          [name, shape],
        ) => [name, tensor(shape, new Array<number>(sizeOf(shape)).fill(0))]),
      ),
    );
    const same = JSON.stringify(variablesOf(session)) === JSON.stringify(before);
    assert.equal(same, !decays && !moves, variant.label);
  }
});

Deno.test("variables without a gradient keep their bits, and so do their slots", async () => {
  for (const variant of VARIANTS) {
    const session = await openRun(variant);
    step(session, gradientsOf(1));
    const before = { variables: variablesOf(session), slots: slotsOf(session) };
    const named = ["matrix", "scalar"];
    step(
      session,
      Object.fromEntries(Object.entries(gradientsOf(2)).filter(([name]) => named.includes(name))),
    );
    step(session, { matrix: gradientsOf(3, { sparse: true })["matrix"] });
    const after = { variables: variablesOf(session), slots: slotsOf(session) };
    for (const name of Object.keys(SHAPES).filter((each) => !named.includes(each))) {
      assert.deepEqual(after.variables[name], before.variables[name], variant.label);
      for (const [slot, values] of Object.entries(before.slots)) {
        assert.deepEqual(after.slots[slot]?.[name], values[name], `${variant.label}: ${slot}`);
      }
    }
    assert.notDeepEqual(after.variables["matrix"], before.variables["matrix"], variant.label);
  }
});

/** Separate sparse rules round differently from the dense ones; the other optimizers use the same lines. */
function relativeDistance(a: readonly number[], b: readonly number[]): number {
  const scale = a.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-3);
  return a.reduce((most, x, n) => Math.max(most, Math.abs(x - (b[n] as number))), 0) / scale;
}

Deno.test("all rows once equal a dense gradient, up to the rounding of sparse rules", async () => {
  for (const variant of VARIANTS) {
    const rule = ruleOfConfig(optimizers.read(variant.optimizer).member, variant.optimizer.config);
    const exact = rule.sparse === undefined || rule.sparse.scatter === true;
    const dense = await openRun(variant), sparse = await openRun(variant);
    for (const seed of [1, 2, 3]) {
      const gradients = gradientsOf(seed);
      step(dense, gradients);
      step(
        sparse,
        Object.fromEntries(
          Object.entries(SHAPES).map(([name, shape]) => {
            const [rows] = shape;
            if (rows === undefined) return [name, gradients[name]];
            return [name, {
              indices: Array.from({ length: rows }, (_, row) => row),
              values: gradients[name],
            }];
          }),
        ),
      );
    }
    for (const name of Object.keys(SHAPES)) {
      const one = variablesOf(dense)[name] ?? [], other = variablesOf(sparse)[name] ?? [];
      if (exact) assert.deepEqual(other, one, variant.label);
      else assert(relativeDistance(one, other) < 1e-5, `${variant.label}: ${name}: ${one} against ${other}`);
    }
  }
});

/** The sparse gradients of step `seed` as dense ones, with zeros in all other rows. */
function asDense(seed: number): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(gradientsOf(seed, { sparse: true })).map(([name, gradient]) => {
      const shape = SHAPES[name] as readonly number[], width = sizeOf(shape.slice(1));
      if (!(typeof gradient === "object" && gradient !== null && "indices" in gradient)) {
        return [name, gradient];
      }
      const { indices, values: { base64 } } = gradient as { indices: number[]; values: { base64: string } };
      const rows = new Float32Array(Uint8Array.fromBase64(base64).buffer);
      const sums = new Float32Array(sizeOf(shape));
      indices.forEach((row, n) => {
        for (let at = 0; at < width; at++) sums[row * width + at]! += rows[n * width + at] as number;
      });
      return [name, tensor(shape, sums)];
    }),
  );
}

Deno.test("a sparse gradient that counts as a dense one gives the dense one's bits", async () => {
  let count = 0;
  for (const variant of VARIANTS) {
    const rule = ruleOfConfig(optimizers.read(variant.optimizer).member, variant.optimizer.config);
    if (!rule.sparseAsDense) continue;
    count += 1;
    const one = await openRun(variant), other = await openRun(variant);
    for (const seed of [1, 2, 3, 4]) {
      step(one, gradientsOf(seed, { sparse: true }));
      step(other, asDense(seed));
      assert.deepEqual(variablesOf(one), variablesOf(other), `${variant.label}, step ${seed}`);
      assert.deepEqual(slotsOf(one), slotsOf(other), variant.label);
    }
  }
  assert(count > 0);
});

Deno.test("the order of rows does not matter when none repeats", async () => {
  const indices = [5, 2, 0, 3], width = 5;
  const values = numbers(indices.length * width, { seed: 3 });
  const turned = indices.map((_, n) => n).toReversed();
  for (const variant of VARIANTS) {
    const one = await openRun(variant), other = await openRun(variant);
    step(one, { matrix: { indices, values: tensor([4, width], values) } });
    const rows = turned.flatMap((n) => values.slice(n * width, (n + 1) * width));
    step(other, { matrix: { indices: indices.toReversed(), values: tensor([4, width], rows) } });
    assert.deepEqual(variablesOf(one), variablesOf(other), variant.label);
    assert.deepEqual(slotsOf(one), slotsOf(other), variant.label);
  }
});

Deno.test("the same requests give the same bits again", async () => {
  const follow = async (variant: Variant): Promise<unknown> => {
    const session = await openRun(variant, { gradient_transformers: ["Centralize"] });
    for (const seed of [1, 2, 3, 4]) step(session, gradientsOf(seed, { sparse: seed % 2 === 0 }));
    return stateOf(session);
  };
  for (const variant of VARIANTS) assert.deepEqual(await follow(variant), await follow(variant));
});

Deno.test("a run made from a run's config steps with the same bits, except for Nadam's decay", async () => {
  const again = async (one: Session, variant: Variant) => {
    const optimizer = JSON.parse(JSON.stringify(one.optimizer()));
    const { member } = optimizers.read(optimizer);
    // Legacy Keras' constructor discards the value that its get_config calls decay.
    const config = member.again?.(optimizer.config) ?? optimizer.config;
    return await openRun({ ...variant, optimizer: { ...optimizer, config } });
  };
  for (const variant of VARIANTS) {
    const one = await openRun(variant);
    const other = await again(one, variant);
    step(one, gradientsOf(1));
    const later = await again(one, variant);
    for (const session of [other, later]) {
      step(session, gradientsOf(1));
      assert.deepEqual(session.optimizer(), one.optimizer(), variant.label);
      assert.deepEqual(variablesOf(session), variablesOf(one), variant.label);
    }
  }
});
