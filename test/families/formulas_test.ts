/** Schedules, transformers, constraints and aggregators that are users' formulas. */
import assert from "node:assert/strict";
import { aggregators } from "../../src/families/aggregators/mod.ts";
import { constraints } from "../../src/families/constraints/mod.ts";
import type { Family, Member } from "../../src/families/mechanism/family.ts";
import { schedules } from "../../src/families/schedules/mod.ts";
import { transformers } from "../../src/families/transformers/mod.ts";
import { newRegistry, refusal, step, variablesOf } from "../run/support/harness.ts";

const { fround } = Math;
const formula = (config: Record<string, unknown>) => ({ class_name: "Formula", config });

function rateAt(schedule: unknown, step: number): number {
  const { member, config } = schedules.resolve(schedule);
  return member.value(config, step);
}

Deno.test("a Formula schedule gives the value of its expression, in float32", () => {
  for (const t of [0, 1, 2, 99, 12_345]) {
    assert.equal(
      rateAt(formula({ expression: "0.1 / sqrt(T)" }), t),
      fround(fround(0.1) / fround(Math.sqrt(t + 1))),
    );
  }
  assert.equal(rateAt(formula({ expression: "where(t < 10, 0.5, 0.25)" }), 9), 0.5);
  assert.equal(rateAt(formula({ expression: "where(t < 10, 0.5, 0.25)" }), 10), 0.25);
});

Deno.test("a Formula schedule has the bits of Keras' schedules when it has the same formula", () => {
  const rows: [unknown, string][] = [
    [
      {
        class_name: "ExponentialDecay",
        config: { initial_learning_rate: 0.1, decay_steps: 7, decay_rate: 0.9 },
      },
      "0.1 * 0.9 ^ (t / 7)",
    ],
    [
      {
        class_name: "InverseTimeDecay",
        config: { initial_learning_rate: 0.1, decay_steps: 7, decay_rate: 0.9 },
      },
      "0.1 / (1 + 0.9 * (t / 7))",
    ],
  ];
  for (const [keras, expression] of rows) {
    for (let t = 0; t < 200; t++) {
      assert.equal(rateAt(formula({ expression }), t), rateAt(keras, t), `${expression} at ${t}`);
    }
  }
});

Deno.test("a Formula schedule stands wherever a schedule may, and can be set later", async () => {
  const optimizer = { class_name: "SGD", config: { learning_rate: formula({ expression: "1 / T" }) } };
  const run = await newRegistry().create({ optimizer, variables: [{ name: "w", shape: [], initial: 10 }] });
  const rates = [1, 2, 3].map(() => step(run, { w: 1 }).learning_rate);
  assert.deepEqual(rates, [1, 0.5, fround(1 / 3)]);
  run.patchOptimizer({ learning_rate: formula({ expression: "t" }) });
  assert.equal(step(run, { w: 1 }).learning_rate, 3);
  assert.equal(
    step(run, { w: 1 }, { hyperparameters: { learning_rate: formula({ expression: "0.5 ^ T" }) } })
      .learning_rate,
    0.03125,
  );
});

/** [family, config, path of the issue, its message] */
const REFUSED: [Family<Member>, Record<string, unknown>, string, RegExp][] = [
  [
    schedules,
    { expression: "0.1 / sqrt(x)" },
    "expression",
    /Unknown name "x", known are t, T \(column 12\)/,
  ],
  [schedules, { expression: "1 +" }, "expression", /Expected a value, found the end \(column 4\)/],
  [schedules, { expression: "" }, "expression", /Expected a value, found the end \(column 1\)/],
  [schedules, { expression: "t < T" }, "expression", /Cannot assign a comparison/],
  [schedules, { expression: "norm(t)" }, "expression", /needs one number per element/],
  [schedules, { expression: "t".repeat(501) }, "expression", /has 501 characters, must have at most 500/],
  [transformers, { lines: ["g = g * x"] }, "lines.0", /Unknown name "x".*\(line 1, column 9\)/],
  [
    transformers,
    { lines: ["a = g", "w = a"] },
    "lines.1",
    /Cannot set "w", it is the variable: must be g, a new name/,
  ],
  [transformers, { lines: ["a = g"] }, "lines", /never set g/],
  [transformers, { lines: ["g = c * g", "c = 1"], parameters: { c: 2 } }, "lines.1", /it is a parameter/],
  [transformers, { lines: ["g = g"], parameters: { c: 2 } }, "parameters", /has "c", which no line reads/],
  [transformers, { lines: ["g = g * max"], parameters: { max: 2 } }, "parameters", /has "max".*a function/],
  [
    transformers,
    { lines: ["g = g * a__b"], parameters: { a__b: 2 } },
    "parameters",
    /has "a__b", a name must/,
  ],
  [transformers, { lines: ["a__b = g", "g = a__b"] }, "lines.0", /Cannot set "a__b": a name must/],
  [transformers, { lines: [] }, "lines", /must be >= 1/],
  [transformers, { lines: ["g".repeat(501)] }, "lines.0", /must be <= 500 characters long/],
  [
    transformers,
    { lines: ["a = exp(g)", ...Array.from({ length: 32 }, () => "a = exp(a)"), "g = a"] },
    "lines.33",
    /Cannot take 33 powers, exponentials, logarithms and cosines for each element in all lines together, at most 16 /,
  ],
  [
    transformers,
    { lines: [...Array.from({ length: 9 }, () => "g = g / norm(g)")] },
    "lines.8",
    /Cannot take 9 chained reductions in all lines together, at most 8/,
  ],
  [constraints, { lines: ["w = g"] }, "lines.0", /Cannot read "g" here, it is the gradient/],
  [constraints, { lines: ["w = w / T"] }, "lines.0", /Cannot read "T" here, it is the iterations after/],
  [constraints, { lines: ["v = w"] }, "lines", /never set w/],
  [
    aggregators,
    { weight: "norm + t" },
    "weight",
    /Cannot read "t" here, it is the iterations .*: known are norm, staleness, weight, loss \(column 8\)/,
  ],
];

Deno.test("Formula refuses invalid formulas, and says where", () => {
  for (const [family, config, path, wanted] of REFUSED) {
    const { code, issues } = refusal(() => family.resolve(formula(config), "here"));
    assert.equal(code, "invalid_config");
    assert.equal(issues[0]?.path, `here.config.${path}`, JSON.stringify(config));
    assert.match(issues[0]?.message ?? "", wanted);
  }
});

Deno.test("a Formula transformer changes gradients, with reductions and its own names", async () => {
  const run = await newRegistry().create({
    // The optimizer's hyperparameter and slot have the same names as the transformers' own.
    optimizer: { class_name: "SGD", config: { learning_rate: 1, momentum: 0.5 } },
    variables: [{ name: "w", shape: [2], initial: [0, 0] }],
    gradient_transformers: [
      formula({ lines: ["momentum = norm(g)", "mu = c / momentum", "g = g * mu"], parameters: { c: 10 } }),
      formula({ lines: ["g = g - c * w"], parameters: { c: -1 } }),
      { class_name: "Scale", config: { scale: 0.5 } },
    ],
  });
  step(run, { w: [3, 4] });
  assert.deepEqual(variablesOf(run), { w: [-3, -4] });
  step(run, { w: [3, 4] });
  // Half of 6 − 3 and 8 − 4, and half of the velocity, which is −3 and −4.
  assert.deepEqual(variablesOf(run), { w: [-3 - 1.5 - 1.5, -4 - 2 - 2] });
});

Deno.test("a Formula transformer works on sparse gradients", async () => {
  const run = await newRegistry().create({
    optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
    variables: [{ name: "w", shape: [3, 1], initial: [[1], [2], [3]] }],
    gradient_transformers: [
      formula({ lines: ["g = clamp(g, -c, c)"], parameters: { c: 2 } }),
      formula({ lines: ["g = g + 0.5 * w"] }),
    ],
  });
  step(run, { w: { indices: [2, 0, 2], values: [[5], [-1], [1]] } });
  assert.deepEqual(variablesOf(run), { w: [1 - (-1 + 0.5), 2, 3 - (2 + 1 + 1.5)] });
});

Deno.test("a Formula constraint changes the variable after its step, even with reductions", async () => {
  const run = await newRegistry().create({
    optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
    variables: [
      {
        name: "box",
        shape: [3],
        constraint: formula({ lines: ["w = clamp(w, low, high)"], parameters: { low: -1, high: 2 } }),
      },
      {
        name: "unit",
        shape: [2],
        initial: [1, 1],
        constraint: formula({ lines: ["learning_rate = norm(w)", "w = w / learning_rate"] }),
      },
    ],
  });
  step(run, { box: [5, -5, 0.5], unit: [-2, -3] });
  assert.deepEqual(variablesOf(run), { box: [-1, 2, -0.5], unit: [fround(0.6), fround(0.8)] });
});

Deno.test("a Formula aggregator weighs contributions by its formula", async () => {
  const run = await newRegistry().create({
    optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
    variables: [{ name: "w", shape: [1], initial: [0] }],
    aggregation: { mode: "round", quorum: 2, aggregator: formula({ weight: "weight / norm" }) },
  });
  const answer = step(run, { w: [4] }, { weight: 8 }) as unknown as { weight: number };
  assert.equal(answer.weight, 2);
  step(run, { w: [1] }, { weight: 6 });
  // (2·4 + 6·1) / (2 + 6)
  assert.deepEqual(variablesOf(run), { w: [-1.75] });
});

/** An immediate run whose one contribution is weighed by a formula. */
const weighed = (weight: string, non_finite: "reject" | "skip" | "propagate") =>
  newRegistry().create({
    optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
    variables: [
      { name: "w", shape: [1], initial: [3] },
      { name: "mean", shape: [1], initial: [5], role: "average" },
    ],
    non_finite,
    aggregation: { mode: "immediate", aggregator: formula({ weight }) },
  });

Deno.test("a Formula aggregator's weight that is not finite is refused, skipped or counted as 0, by the policy", async () => {
  for (const weight of ["(weight - weight) / 0", "weight / 0", "weight * 1e30 * 1e30"]) {
    for (const policy of ["reject", "skip", "propagate"] as const) {
      const run = await weighed(weight, policy);
      if (policy === "reject") {
        const { code, issues } = refusal(() => step(run, { w: [4], mean: [1] }));
        assert.equal(code, "invalid_request");
        assert.deepEqual(issues.map(({ path }) => path), ["weight"]);
      } else assert.equal(step(run, { w: [4], mean: [1] }).applied, policy === "propagate");
      assert.deepEqual(variablesOf(run), { w: [3], mean: [5] }, weight);
    }
  }
});

Deno.test("a Formula aggregator counts weights below 0 as 0, and gives a zero gradient if all are 0", async () => {
  for (const weight of ["-1", "weight - weight"]) {
    const run = await newRegistry().create({
      optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
      variables: [
        { name: "w", shape: [1], initial: [3] },
        { name: "mean", shape: [1], initial: [5], role: "average" },
      ],
      aggregation: { mode: "immediate", aggregator: formula({ weight }) },
    });
    step(run, { w: [4], mean: [1] });
    assert.deepEqual(variablesOf(run), { w: [3], mean: [5] }, weight);
  }
});
