import assert from "node:assert/strict";
import fc from "fast-check";
import type { StepwellError } from "../../src/errors.ts";
import { elementCount } from "../../src/tensor.ts";
import { initialize as initializeWith, initializers } from "../../src/families/initializers/mod.ts";

/** Each draw gives a new seed, unless the test sets one. */
let drawn = 0;
async function initialize(
  json: unknown,
  shape: readonly number[],
  path = "",
  drawSeed = () => ++drawn,
  parts = [Infinity],
): Promise<Float32Array> {
  const fill = await initializeWith(json, shape, { path, drawSeed }).begin();
  const values = new Float32Array(elementCount(shape));
  for (let from = 0, n = 0; from < values.length; n++) {
    const part = values.subarray(from, from + (parts[n % parts.length] as number));
    fill(part, from);
    from += part.length;
  }
  return values;
}

const RANDOM = initializers.members.filter(({ config }) => "seed" in config.shape).map(({ class_name }) =>
  class_name
);
const seeded = (class_name: string, seed = 7, config = {}) => ({ class_name, config: { ...config, seed } });

function moments(values: Float32Array): { mean: number; deviation: number; extreme: number } {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
  return { mean, deviation, extreme: values.reduce((most, x) => Math.max(most, Math.abs(x)), 0) };
}

function assertNear(got: number, want: number, what: string): void {
  assert(
    Math.abs(got - want) <= 0.03 * Math.max(Math.abs(want), 0.2),
    `${what} is ${got}, must be near ${want}`,
  );
}

Deno.test("initialize() fills with the given value", async () => {
  assert.deepEqual(await initialize("zeros", [2, 2]), new Float32Array(4));
  assert.deepEqual(await initialize("Ones", [3]), Float32Array.of(1, 1, 1));
  assert.deepEqual(
    await initialize({ class_name: "Constant", config: { value: 0.1 } }, []),
    Float32Array.of(0.1),
  );
  assert.deepEqual(await initialize("Zeros", [0, 5]), new Float32Array(0));
});

Deno.test("initialize() makes an identity when the shape is a matrix, and refuses any other", async () => {
  const identity = { class_name: "Identity", config: { gain: 2 } };
  assert.deepEqual(await initialize(identity, [2, 3]), Float32Array.of(2, 0, 0, 0, 2, 0));
  for (const shape of [[], [2], [2, 2, 2]]) {
    await assert.rejects(initialize(identity, shape, "variables.0.initial"), { code: "invalid_config" });
  }
});

Deno.test("initialize() gives the same bits when the seed is the same, and others when it is not", async () => {
  for (const class_name of RANDOM) {
    const values = await initialize(seeded(class_name), [7, 5]);
    assert.equal(values.length, 35);
    assert.deepEqual(await initialize(seeded(class_name), [7, 5]), values, class_name);
    assert.notDeepEqual(await initialize(seeded(class_name, 8), [7, 5]), values, class_name);
    assert.deepEqual(await initialize(class_name, [7, 5], "", () => 7), values, class_name);
    assert.notDeepEqual(
      await initialize(class_name, [7, 5]),
      await initialize(class_name, [7, 5]),
      class_name,
    );
  }
});

Deno.test("initialize() has the mean, deviation and bounds of its distribution when the sample is large", async () => {
  const cases: [string, Record<string, unknown>, { mean: number; deviation: number; most: number }][] = [
    ["RandomUniform", { minval: -1, maxval: 3 }, { mean: 1, deviation: 4 / Math.sqrt(12), most: 3 }],
    ["RandomNormal", { mean: 2, stddev: 0.5 }, { mean: 2, deviation: 0.5, most: Infinity }],
    ["TruncatedNormal", { mean: 0, stddev: 0.5 }, { mean: 0, deviation: 0.5 * 0.8796, most: 1 }],
  ];
  for (const [class_name, config, { mean, deviation, most }] of cases) {
    const got = moments(await initialize(seeded(class_name, 3, config), [100_000]));
    assertNear(got.mean, mean, `${class_name} mean`);
    assertNear(got.deviation, deviation, `${class_name} deviation`);
    assert(got.extreme <= most, `${class_name} reaches ${got.extreme}`);
  }
});

Deno.test("initialize() scales the variance to inputs and outputs when the shape is a kernel", async () => {
  const cases: [string, Record<string, unknown>, number[], number][] = [
    ["GlorotUniform", {}, [200, 300], 2 / 500],
    ["GlorotNormal", {}, [200, 300], 2 / 500],
    ["HeUniform", {}, [200, 300], 2 / 200],
    ["HeNormal", {}, [200, 300], 2 / 200],
    ["LecunUniform", {}, [200, 300], 1 / 200],
    ["LecunNormal", {}, [200, 300], 1 / 200],
    ["HeNormal", {}, [3, 3, 32, 64], 2 / (9 * 32)],
    ["LecunNormal", {}, [50_000], 1 / 50_000],
    ["VarianceScaling", { scale: 3, mode: "fan_out", distribution: "uniform" }, [300, 200], 3 / 200],
    ["VarianceScaling", { mode: "fan_avg", distribution: "untruncated_normal" }, [300, 200], 1 / 250],
    ["VarianceScaling", { distribution: "normal" }, [300, 200], 1 / 300],
  ];
  for (const [class_name, config, shape, variance] of cases) {
    const { deviation, extreme } = moments(await initialize(seeded(class_name, 5, config), shape));
    assert(Math.abs(deviation / Math.sqrt(variance) - 1) < 0.02, `${class_name} ${shape}: ${deviation ** 2}`);
    if (class_name.endsWith("Uniform")) assert(extreme <= Math.fround(Math.sqrt(3 * variance)));
  }
});

Deno.test("initialize() makes orthonormal rows or columns when it is Orthogonal", async () => {
  for (const shape of [[5, 5], [8, 3], [3, 8], [2, 3, 4], [1, 1]]) {
    const columns = shape.at(-1) as number;
    const values = await initialize(seeded("Orthogonal", 7, { gain: 2 }), shape);
    const rows = values.length / columns;
    const at = (row: number, column: number) => values[row * columns + column] as number;
    const [count, length] = rows < columns ? [rows, columns] : [columns, rows];
    const vector = (n: number, k: number) => rows < columns ? at(n, k) : at(k, n);
    for (let a = 0; a < count; a++) {
      for (let b = 0; b <= a; b++) {
        let dot = 0;
        for (let k = 0; k < length; k++) dot += vector(a, k) * vector(b, k);
        assert(Math.abs(dot - (a === b ? 4 : 0)) < 1e-6, `${shape}: vectors ${a} and ${b} have ${dot}`);
      }
    }
  }
  await assert.rejects(initialize("Orthogonal", [5]), { code: "invalid_config" });
});

Deno.test("initialize() gives the same bits when the values are cut into parts", async () => {
  const parts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
  const shape = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 2, maxLength: 2 });
  const member = fc.constantFrom(...initializers.members.map(({ class_name }) => class_name));
  await fc.assert(fc.asyncProperty(member, shape, parts, async (class_name, shape, parts) => {
    assert.deepEqual(
      await initialize(class_name, shape, "", () => 7, parts),
      await initialize(class_name, shape, "", () => 7),
      class_name,
    );
  }));
});

Deno.test("initialize() draws the numbers of tfjs", async () => {
  const tf = await import("@tensorflow/tfjs");
  tf.enableProdMode();
  await tf.setBackend("cpu");
  await fc.assert(fc.asyncProperty(
    fc.integer({ min: 1 }),
    fc.float({ noNaN: true, noDefaultInfinity: true, min: -100, max: 100 }),
    fc.float({ noNaN: true, noDefaultInfinity: true, min: 0, max: 100 }),
    async (seed, from, to) => {
      const config = { mean: from, stddev: to };
      const drawn = {
        RandomUniform: tf.randomUniform([101], from, from + to, "float32", seed),
        RandomNormal: tf.randomNormal([101], from, to, "float32", seed),
        TruncatedNormal: tf.truncatedNormal([101], from, to, "float32", seed),
      };
      for (const [class_name, tensor] of Object.entries(drawn)) {
        const fields = class_name === "RandomUniform" ? { minval: from, maxval: from + to } : config;
        const values = await initialize(seeded(class_name, seed, fields), [101]);
        assert.deepEqual(values, new Float32Array(tensor.dataSync()), class_name);
        tensor.dispose();
      }
    },
  ));
});

Deno.test("initialize() refuses an Orthogonal with the figure when it takes too long", async () => {
  const options = { drawSeed: () => 7, workMax: 2e9 };
  assert.throws(() => initializeWith("Orthogonal", [1001, 1000], options), (error: StepwellError) => {
    assert.equal(error.code, "invalid_config");
    assert.match(JSON.stringify(error.issues), /2002000000 multiplications.*at most 2000000000/);
    return true;
  });
  await assert.rejects(initialize("Orthogonal", [1, 17 << 20]), { code: "invalid_config" });
});
