/** Rules against known vectors: of TensorFlow, and of other libraries for what Keras' legacy family lacks. */
import assert from "node:assert/strict";
import { parseOptimizer } from "../../../src/families/optimizers/optimizer.ts";
import { Applied, type Gradient } from "../support/apply_rule.ts";
import { decode, type GoldenCase, type GoldenGradient, readGolden } from "../support/goldens.ts";

/** Three dense steps of one variable, as TensorFlow 2.21 takes them on a CPU. */
const DENSE_START = [1, -2, 0.5];
const DENSE_STEPS: Gradient[] = [[0.1, -0.2, 0.3], [0.05, 0.4, -0.1], [-0.3, 0, 0.2]].map((dense) => ({
  dense,
}));
const DENSE: [string, Record<string, unknown>, number[]][] = [
  ["SGD", { learning_rate: 0.1 }, [1.01499999, -2.01999998, 0.459999979]],
  ["SGD", { learning_rate: 0.1, decay: 0.5 }, [1.00166667, -2.00666666, 0.466666669]],
  ["SGD", { learning_rate: 0.1, momentum: 0.9 }, [0.993400037, -2.02180004, 0.417699993]],
  ["SGD", { learning_rate: 0.1, momentum: 0.9, nesterov: true }, [1.00906003, -2.03961992, 0.385930002]],
  ["Adam", { learning_rate: 0.1 }, [0.841510177, -1.96491134, 0.299671382]],
  ["Adam", { learning_rate: 0.1, amsgrad: true }, [0.841510177, -1.96489716, 0.299671382]],
  ["Adamax", { learning_rate: 0.1 }, [0.847644389, -1.94723141, 0.326639235]],
  ["Nadam", { learning_rate: 0.1 }, [0.944528937, -1.98861158, 0.357738346]],
  ["Adagrad", { learning_rate: 0.1 }, [1.02160835, -2.0195775, 0.412711143]],
  ["Adadelta", { learning_rate: 1 }, [0.999722719, -2.00038362, 0.498083413]],
  ["RMSprop", { learning_rate: 0.1 }, [0.8358078, -1.96948683, 0.107455343]],
  ["RMSprop", { learning_rate: 0.1, centered: true }, [0.808885932, -1.95597565, 0.0820203424]],
  ["RMSprop", { learning_rate: 0.1, momentum: 0.9 }, [0.162412971, -1.68588936, -0.338944316]],
  ["RMSprop", { learning_rate: 0.1, momentum: 0.9, centered: true }, [
    0.0932564735,
    -1.64636433,
    -0.392094314,
  ]],
  ["Ftrl", { learning_rate: 0.1 }, [0.068145819, -0.329268962, 0.0499730036]],
  ["Ftrl", {
    learning_rate: 0.1,
    l1_regularization_strength: 0.1,
    l2_regularization_strength: 0.1,
    l2_shrinkage_regularization_strength: 0.05,
    beta: 0.2,
  }, [0.0155741991, -0.159425333, 0.00856297929]],
];

/** Three sparse steps with duplicates, from the same section; row 4 is never touched. */
const SPARSE_START = [1, -1, 0.5, 2, -0.5, 0.25, 3, -3, 0.75, -0.75];
const SPARSE_STEPS: Gradient[] = [
  { indices: [0, 2, 0], rows: [[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6]] },
  { indices: [1, 1, 3], rows: [[0.7, -0.8], [0.9, 0.1], [-0.2, 0.3]] },
  { indices: [2, 0, 2], rows: [[-0.4, 0.5], [0.6, -0.7], [0.8, 0.9]] },
];
// deno-fmt-ignore
const SPARSE: [string, Record<string, unknown>, number[]][] = [
  ["SGD", { learning_rate: 0.1 }, [0.879999995, -0.889999986, 0.340000004, 2.06999993, -0.50999999, 0.0700000003, 3.01999998, -3.02999997]],
  ["SGD", { learning_rate: 0.1, momentum: 0.9 }, [0.825999975, -0.853999972, 0.340000004, 2.06999993, -0.48300001, 0.0339999944, 3.01999998, -3.02999997]],
  ["Adam", { learning_rate: 0.1 }, [0.751195073, -0.751839101, 0.368064672, 2.13193488, -0.353062063, 0.00735133886, 3.13193369, -3.13193417]],
  ["Adamax", { learning_rate: 0.1 }, [0.829889357, -0.84412235, 0.447368443, 2.05263162, -0.411992639, 0.103610992, 3.05263162, -3.05263162]],
  ["Nadam", { learning_rate: 0.1 }, [0.809852719, -0.793073416, 0.395502299, 2.10449767, -0.480722696, 0.0340203866, 3.10449767, -3.10449767]],
  ["Adagrad", { learning_rate: 0.1 }, [0.845275939, -0.840724528, 0.401897728, 2.09113216, -0.498787612, 0.0775917321, 3.05345225, -3.06882477]],
  ["Adadelta", { learning_rate: 1 }, [0.99715358, -0.99683857, 0.49858579, 2.0014143, -0.500200391, 0.246659115, 3.00141406, -3.0014143]],
  ["RMSprop", { learning_rate: 0.1 }, [0.448722303, -0.402555227, 0.183772326, 2.31622767, -0.445877343, -0.372491747, 3.3162272, -3.31622744]],
  ["RMSprop", { learning_rate: 0.1, momentum: 0.9 }, [0.169752538, -0.121163964, 0.183772355, 2.31622744, -0.156832755, -0.656045198, 3.31622386, -3.31622601]],
  ["Ftrl", { learning_rate: 0.1 }, [0.379023522, -0.22055088, 0.304951847, 1.26774526, -0.136049494, -0.0774516985, 0.517989516, -0.892395914]],
];

function finalOf(
  class_name: string,
  config: Record<string, unknown>,
  steps: Gradient[],
  start: number[],
  row: number,
) {
  const applied = new Applied(parseOptimizer({ class_name, config }).optimizer, start, row);
  for (const step of steps) applied.step(step);
  return [...applied.tensors["w"] as Float32Array];
}

Deno.test("ruleOf() gives TensorFlow's values when gradients are dense", () => {
  for (const [class_name, config, want] of DENSE) {
    const got = finalOf(class_name, config, DENSE_STEPS, DENSE_START, 3);
    assert.deepEqual(got, want.map(Math.fround), `${class_name} ${JSON.stringify(config)}`);
  }
});

Deno.test("ruleOf() gives TensorFlow's values when gradients are sparse", () => {
  for (const [class_name, config, want] of SPARSE) {
    const got = finalOf(class_name, config, SPARSE_STEPS, SPARSE_START, 2);
    // Adam alone moves rows that no gradient touched, row 4 not even that: its moments are 0.
    assert.deepEqual(got, [...want, 0.75, -0.75].map(Math.fround), `${class_name} ${JSON.stringify(config)}`);
  }
});

function assertClose(
  got: Float32Array,
  want: Float32Array,
  { relative, what }: { relative: number; what: string },
) {
  const scale = Math.max(...want.map(Math.abs));
  want.forEach((value, at) => {
    const difference = Math.abs((got[at] as number) - value);
    assert(difference <= relative * scale, `${what}[${at}] is ${got[at]}, must be ${value}`);
  });
}

const { cases } = readGolden<{ cases: GoldenCase[] }>("beyond.json");
for (const { name, optimizer: json, variables, steps, expected, bound } of cases) {
  Deno.test(`ruleOf() gives what other libraries gave: ${name}`, () => {
    const { relative = 0, slots_relative = relative } = bound;
    for (const { name: variable, shape, initial } of variables) {
      const row = shape.slice(1).reduce((product, n) => product * n, 1);
      const applied = new Applied(parseOptimizer(json).optimizer, [...decode(initial)], row);
      steps.forEach(({ gradients }, at) => {
        applied.step(gradientOf(gradients[variable] as GoldenGradient, row));
        const want = expected.after.find(({ step }) => step === at + 1)?.variables[variable];
        const what = `${variable} after step ${at + 1}`;
        if (want) assertClose(applied.tensors["w"] as Float32Array, decode(want), { relative, what });
      });
      for (const { variable: owner, slot = "", values = "" } of expected.weights) {
        if (owner !== variable) continue;
        assertClose(applied.tensors[slot] as Float32Array, decode(values), {
          relative: slots_relative,
          what: slot,
        });
      }
    }
  });
}

function gradientOf({ dense, indices = [], values = "" }: GoldenGradient, row: number): Gradient {
  if (dense !== undefined) return { dense: [...decode(dense)] };
  const flat = [...decode(values)];
  return { indices: [...indices], rows: indices.map((_, at) => flat.slice(at * row, (at + 1) * row)) };
}

Deno.test("ruleOf() moves every row when AdamW gets a sparse gradient", () => {
  const { optimizer } = parseOptimizer({
    class_name: "AdamW",
    config: { learning_rate: 0.1, weight_decay: 0.5 },
  });
  const sparse = new Applied(optimizer, [1, 2, 3, 4], 2);
  const dense = new Applied(optimizer, [1, 2, 3, 4], 2);
  for (let step = 0; step < 3; step++) {
    sparse.step({ indices: [1], rows: [[0.25, -1]] });
    dense.step({ dense: [0, 0, 0.25, -1] });
  }
  assertClose(
    sparse.tensors["w"] as Float32Array,
    dense.tensors["w"] as Float32Array,
    { relative: 1e-6, what: "w" },
  );
});

Deno.test("ruleOf() takes the norms of the whole variable when Lamb gets a sparse gradient", () => {
  const { optimizer } = parseOptimizer({
    class_name: "Lamb",
    config: { learning_rate: 0.1, weight_decay: 0.5 },
  });
  const sparse = new Applied(optimizer, [1, 2, 3, 4], 2);
  const dense = new Applied(optimizer, [1, 2, 3, 4], 2);
  for (let step = 0; step < 3; step++) {
    sparse.step({ indices: [1], rows: [[0.25, -1]] });
    dense.step({ dense: [0, 0, 0.25, -1] });
  }
  assertClose(
    sparse.tensors["w"] as Float32Array,
    dense.tensors["w"] as Float32Array,
    { relative: 1e-5, what: "w" },
  );
});
