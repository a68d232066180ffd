/** Constants of users' formulas that float32 cannot hold: each place where a formula comes in, and what stays readable. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { constantIssues } from "../../../src/families/mechanism/finite_constants.ts";
import { Program } from "../../../kernels/compiler/compile.ts";
import { evaluateScalars } from "../../../kernels/compiler/runner.ts";
import { OPS } from "../../../kernels/language/ops.ts";
import type { RunSpec } from "../../../src/run/api/run_spec.ts";
import { checkpointOf, restore } from "../../run/checkpoint/support/checkpoints.ts";
import { newRegistry, refusal, refusalAsync, step } from "../../run/support/harness.ts";
import { FAMILIES } from "../support/members.ts";

const messageOf = (line: string) => constantIssues({ dense: [line] })[0]?.message;

Deno.test("a constant that is not finite is found with its place", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["w = g * 1e39", "becomes Infinity in float32 (line 1, column 9)"],
    ["w = g * (1 + 3.5e38)", "becomes Infinity in float32 (line 1, column 14)"],
    ["w = g * (2e38 + 2e38)", "becomes Infinity in float32 (line 1, column 15)"],
    ["w = g / 1 + 1 / 0", "becomes Infinity in float32 (line 1, column 15)"],
    ["w = g + sqrt(0 - 1)", "becomes NaN in float32 (line 1, column 9)"],
    ["w = where(g > 0, g, log(0))", "becomes -Infinity in float32 (line 1, column 21)"],
    ["w = g * 10 ^ 39", "becomes Infinity in float32 (line 1, column 12)"],
  ];
  for (const [line, told] of cases) {
    assert.equal(messageOf(line), `has a constant that ${told}, must be finite`, line);
  }
});

Deno.test("what depends on a name is no constant, and the greatest number is one", () => {
  for (
    const line of [
      "w = g / 0",
      "w = g * 3.4028235e38 * 10",
      "w = g * 3.4028235e38 + 1e-50",
      "w = where(g - g == 0, g, 0)",
      "w = exp(88) * g",
    ]
  ) assert.equal(messageOf(line), undefined, line);
  assert.deepEqual(constantIssues({ expression: "0.1 / sqrt(T)" }), []);
  assert.deepEqual(constantIssues({ expression: "1e39 / T" }), [{
    path: "expression",
    message: "has a constant that becomes Infinity in float32 (column 1), must be finite",
  }]);
});

/** Expressions of numbers alone. */
const numbers = fc.oneof(
  fc.double({ noNaN: true, min: 0, max: 1e38 }),
  fc.constantFrom(0, 1, 1e38, 3.4e38, 88, 1e-40),
);
const { constant } = fc.letrec<{ constant: string }>((tie) => ({
  constant: fc.oneof(
    { maxDepth: 4 },
    numbers.map((value) => String(value)),
    ...[...OPS].filter(([, { mask, arity }]) => !mask && arity <= 2).map(([op, { symbol, arity }]) =>
      fc.tuple(tie("constant"), tie("constant")).map(([a, b]) => {
        if (arity === 1) return symbol ? `(${symbol}${a})` : `${op}(${a})`;
        return symbol ? `(${a} ${symbol} ${b})` : `${op}(${a}, ${b})`;
      })
    ),
  ),
}));

Deno.test("a constant expression is taken only if the interpreter's value of it is finite", () => {
  let taken = 0, refused = 0;
  fc.assert(
    fc.property(constant, (text) => {
      if (text.length > 400) return;
      const program = new Program([`made = ${text}`], { tensors: [], stored: [], uniforms: [] });
      const { made = 0 } = evaluateScalars(program, {});
      const isTaken = messageOf(`w = g + ${text}`) === undefined;
      // A part may be infinite although the whole is not: 1 / (1 / 0) is 0.
      if (isTaken) assert.ok(Number.isFinite(made), text);
      isTaken ? taken += 1 : refused += 1;
    }),
    { numRuns: 1000 },
  );
  assert.ok(taken > 100 && refused > 100, `${taken} were taken, ${refused} refused`);
});

const SPEC: Omit<RunSpec, "id"> = { optimizer: "SGD", variables: [{ name: "w", shape: [2] }] };
const formula = (config: object) => ({ class_name: "Formula", config });

/** Where formulas come in with a spec, by the path of their text. */
const PLACES: Record<string, Partial<RunSpec>> = {
  "optimizer.config.learning_rate.config.expression": {
    optimizer: { class_name: "SGD", config: { learning_rate: formula({ expression: "1e39 / T" }) } },
  },
  "variables.0.constraint.config.lines.1": {
    variables: [{ name: "w", shape: [2], constraint: formula({ lines: ["a = w", "w = a * 1e39"] }) }],
  },
  "aggregation.aggregator.config.weight": {
    aggregation: { mode: "round", quorum: 1, aggregator: formula({ weight: "weight * 1e39" }) },
  },
  "gradient_transformers.1.config.lines.0": {
    gradient_transformers: ["Centralize", formula({ lines: ["g = g * 1e39"] })],
  },
};

Deno.test("each formula of a spec is refused with its path; every member with formulas is tried", async () => {
  const tried = new Set<string>();
  for (const [path, spec] of Object.entries(PLACES)) {
    const { code, issues } = await refusalAsync(() => newRegistry().create({ ...SPEC, ...spec }));
    assert.equal(code, "invalid_config", path);
    assert.deepEqual(issues.map((issue) => issue.path), [path]);
    tried.add(
      path.replace(/^optimizer.*/, "schedules").replace(/^variables.*/, "constraints")
        .replace(/^aggregation.*/, "aggregators").replace(/^gradient_transformers.*/, "transformers"),
    );
  }
  const wanted = Object.entries(FAMILIES)
    .filter(([, { members }]) => members.some(({ formulas = [] }) => formulas.length > 0)).map(([name]) =>
      name
    );
  assert.deepEqual([...tried].sort(), wanted.sort());
});

Deno.test("every field that is checked as a formula is listed as one", () => {
  for (const [name, { members }] of Object.entries(FAMILIES)) {
    for (const { class_name, config, formulas = [] } of members) {
      const given = Object.keys(config.shape).filter((key) =>
        ["expression", "weight", "lines"].includes(key)
      );
      assert.deepEqual(given, formulas, `${name} ${class_name}`);
    }
  }
});

Deno.test("a schedule in a patch or of one step is refused, and changes nothing", async () => {
  const session = await newRegistry().create(SPEC);
  const learning_rate = formula({ expression: "0.1 + 0 * (1 / 0)" });
  for (
    const [path, act] of [
      ["config", () => session.patchOptimizer({ learning_rate })],
      ["hyperparameters", () => step(session, { w: [1, 1] }, { hyperparameters: { learning_rate } })],
    ] as const
  ) {
    const { code, issues } = refusal(act);
    assert.equal(code, "invalid_config");
    assert.deepEqual(issues.map((issue) => issue.path), [`${path}.learning_rate.config.expression`]);
  }
  assert.equal(session.version, 0);
});

Deno.test("a definition is refused with the list and line of the constant", async () => {
  const definition = {
    class_name: "Mine",
    scalars: ["a = 1e38 * 10"],
    dense: ["w = w - a * g", "w = w * 1e39"],
    sparse: { all: ["w = w * 1e39"], rows: ["w = w - g * (0 / 0)"] },
  };
  const { code, issues } = await refusalAsync(() => newRegistry().optimizers.register(definition));
  assert.equal(code, "invalid_definition");
  assert.deepEqual(issues.map(({ path }) => path), ["scalars.0", "dense.1", "sparse.all.0", "sparse.rows.0"]);
});

Deno.test("a checkpoint of an earlier version with such constants is taken, and the run can be changed", async () => {
  const registry = newRegistry();
  const checkpoint = checkpointOf(
    await registry.create({
      ...SPEC,
      optimizer: { class_name: "SGD", config: { learning_rate: formula({ expression: "0.1 / T" }) } },
      gradient_transformers: [formula({ lines: ["g = min(g, 2)"] })],
    }),
  );
  const saved = JSON.parse(
    JSON.stringify(checkpoint.saved).replaceAll("0.1 / T", "min(0.5, 1e39)").replace("g, 2", "g, 1e39"),
  );
  assert.match(JSON.stringify(saved), /1e39.*1e39/);
  const session = await restore(registry, "older", { ...checkpoint, saved });
  session.patchOptimizer({ momentum: 0 });
  assert.equal(step(session, { w: [1, 1] }).learning_rate, 0.5);
});
