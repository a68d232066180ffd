/** The rules of a definition: a table whose rows break one rule each. */
import assert from "node:assert/strict";
import { StepwellError } from "../../../../src/errors.ts";
import { Family } from "../../../../src/families/mechanism/family.ts";
import { memberOf, readDefinition } from "../../../../src/families/optimizers/custom/custom_member.ts";
import type { OptimizerMember } from "../../../../src/families/optimizers/member/optimizer_member.ts";
import {
  getConfig,
  learningRate,
  numbersOfStep,
  parseOptimizer,
} from "../../../../src/families/optimizers/optimizer.ts";

const GOOD = {
  class_name: "Mine",
  hyperparameters: {
    learning_rate: { default: 0.01, schedule: true },
    beta: { default: 0.9, minimum: 0, maximum: 1 },
  },
  slots: { v: { initial: 0 } },
  state: { power: { initial: 1 } },
  scalars: ["power = power * beta", "alpha = learning_rate / (1 - power)"],
  dense: ["v = beta * v + g", "w = w - alpha * v"],
  sparse: { all: ["v = beta * v"], rows: ["v = v + g"], after: ["w = w - alpha * v"] },
};

/** [the problem, the change, path of the issue, its message] */
const REFUSED: [string, Record<string, unknown>, string, RegExp][] = [
  ["no name", { class_name: undefined }, "class_name", /is missing/],
  ["a name that no path takes", { class_name: "My Optimizer" }, "class_name", /must be 1 to 64 of/],
  ["a long name", { class_name: "x".repeat(65) }, "class_name", /must be 1 to 64 of/],
  ["an unknown key", { betas: 1 }, "betas", /is an unknown key/],
  ["no dense lines", { dense: [] }, "dense", /must be >= 1 long/],
  ["many lines", { dense: new Array(65).fill("w = g") }, "dense", /must be <= 64 long/],
  [
    "a hyperparameter without a default",
    { hyperparameters: { a: {} } },
    "hyperparameters.a.default",
    /is missing/,
  ],
  [
    "a default below its range",
    { hyperparameters: { a: { default: -1, minimum: 0 } } },
    "hyperparameters.a.default",
    />= minimum/,
  ],
  [
    "a default above its range",
    { hyperparameters: { a: { default: 2, maximum: 1 } } },
    "hyperparameters.a.default",
    /<= maximum/,
  ],
  [
    "an empty range",
    { hyperparameters: { a: { default: 1, minimum: 2, maximum: 0 } } },
    "hyperparameters.a.maximum",
    />= minimum/,
  ],
  [
    "a default beyond float32",
    { hyperparameters: { a: { default: 1e39 } } },
    "hyperparameters.a.default",
    /must be <=/,
  ],
  ["a slot without a first value", { slots: { v: {} } }, "slots.v.initial", /is missing/],
  ["a name with two underscores", { slots: { v__1: { initial: 0 } } }, "slots.v__1", /its name must be/],
  ["a name that begins with one", { slots: { _v: { initial: 0 } } }, "slots._v", /its name must be/],
  [
    "17 slots",
    { slots: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`s${n}`, { initial: 0 }])) },
    "slots",
    /at most 16 slots/,
  ],
  [
    "too much text",
    { dense: Array.from({ length: 64 }, () => `w = ${"g + ".repeat(100)}g`) },
    "",
    /characters, must have at most 16000/,
  ],
  // Names.
  [
    "a slot named as a function",
    { slots: { v: { initial: 0 }, sqrt: { initial: 0 } } },
    "slots.sqrt",
    /is a function/,
  ],
  [
    "a slot named as the gradient",
    { slots: { v: { initial: 0 }, g: { initial: 0 } } },
    "slots.g",
    /is the gradient/,
  ],
  [
    "a slot named as a config key",
    { slots: { v: { initial: 0 }, clipnorm: { initial: 0 } } },
    "slots.clipnorm",
    /is a config key/,
  ],
  [
    "a hyperparameter named decay",
    { hyperparameters: { decay: { default: 0 } } },
    "hyperparameters.decay",
    /is a config key/,
  ],
  [
    "a hyperparameter named lr",
    { hyperparameters: { lr: { default: 0 } } },
    "hyperparameters.lr",
    /is a config key/,
  ],
  [
    "a hyperparameter named name",
    { hyperparameters: { name: { default: 0 } } },
    "hyperparameters.name",
    /is a config key/,
  ],
  ["a number of the state named T", { state: { T: { initial: 0 } } }, "state.T", /is the iterations after/],
  [
    "a slot named as a hyperparameter",
    { slots: { beta: { initial: 0 } } },
    "slots.beta",
    /is a hyperparameter/,
  ],
  ["state named as a slot", { state: { v: { initial: 0 } } }, "state.v", /is a slot/],
  [
    "a slot named learning_rate",
    { hyperparameters: {}, slots: { learning_rate: { initial: 0 } } },
    "slots.learning_rate",
    /is a hyperparameter, if anything/,
  ],
  // Syntax: line and column, and what was expected.
  [
    "a line without a target",
    { dense: ["w - g"] },
    "dense.0",
    /Expected "=", found "-" \(line 1, column 3\)/,
  ],
  [
    "a line without a value",
    { dense: ["v = g", "w ="] },
    "dense.1",
    /Expected a value, found the end \(line 2, column 4\)/,
  ],
  [
    "an open parenthesis",
    { dense: ["w = (g"] },
    "dense.0",
    /Expected "\)", found the end \(line 1, column 7\)/,
  ],
  ["a foreign character", { dense: ["w = g § 2"] }, "dense.0", /found "§" \(line 1, column 7\)/],
  ["code", { dense: ["w = g; Deno.exit()"] }, "dense.0", /found ";" \(line 1, column 6\)/],
  [
    "an unknown function",
    { dense: ["w = tanh(g)"] },
    "dense.0",
    /Unknown function "tanh", it is written 1 - 2 .* Known are .*sqrt.*\(line 1, column 5\)/,
  ],
  ["a call without its arguments", { dense: ["w = max(g)"] }, "dense.0", /max takes 2 arguments, found 1/],
  ["an empty line", { dense: ["w = g", ""] }, "dense.1", /Expected a name to assign to/],
  // Types.
  [
    "a comparison as a number",
    { dense: ["w = w - (g > 0)"] },
    "dense.0",
    /cannot use a comparison as a number/,
  ],
  ["a number as a condition", { dense: ["w = where(g, 1, 2)"] }, "dense.0", /where needs a comparison/],
  [
    "a norm of a number",
    { dense: ["w = w - norm(beta) * g"] },
    "dense.0",
    /norm needs one number per element/,
  ],
  [
    "a gradient in scalars",
    { scalars: ["power = power * norm(g)"] },
    "scalars.0",
    /Cannot read "g" here, it is the gradient: known are .* \(line 1, column 22\)/,
  ],
  [
    "a slot in scalars",
    { scalars: ["power = power * v"] },
    "scalars.0",
    /Cannot read "v" here, it is a slot, which only lines for each element have: known/,
  ],
  [
    "a gradient in lines for all rows",
    { sparse: { ...GOOD.sparse, all: ["v = v + g"] } },
    "sparse.all.0",
    /Cannot read "g" here, it is the gradient/,
  ],
  [
    "a name of another list",
    { sparse: { ...GOOD.sparse, all: ["u = beta * v"], after: ["w = w - u"] } },
    "sparse.after.0",
    /Unknown name "u"/,
  ],
  // Suggestions.
  ["a slip of a letter", { dense: ["w = betta * g"] }, "dense.0", /"betta", did you mean beta\? Known are/],
  ["another case", { dense: ["w = w - G"] }, "dense.0", /"G", did you mean g\?/],
  ["a gradient by another name", { dense: ["w = w - grad"] }, "dense.0", /"grad", did you mean g\?/],
  ["a rate by its old name", { dense: ["w = w - lr * g"] }, "dense.0", /"lr", did you mean learning_rate\?/],
  ["iterations by another name", { dense: ["w = w - g / step"] }, "dense.0", /"step", did you mean t\?/],
  [
    "a name before it is made",
    { dense: ["w = w - u", "u = g"] },
    "dense.0",
    /Unknown name "u", line 2 defines it only later\. .* \(line 1, column 9\)/,
  ],
  [
    "a number that nobody declared",
    { dense: ["w = w - g / epsilon"] },
    "dense.0",
    /Unknown name "epsilon", known are/,
  ],
  ["a slip in a function", { dense: ["w = sqr(g)"] }, "dense.0", /"sqr", did you mean sqrt\? Known are/],
  ["a square by name", { dense: ["w = square(g)"] }, "dense.0", /"square", it is written a \* a\. Known are/],
  // Values of another kind: the message names the expected kind.
  ["lines in one text", { dense: "w = g" }, "dense", /must be a list of lines such as \["w = /],
  ["a list of slots", { slots: ["v"] }, "slots", /must be an object such as \{"m":\{"initial":0\}\}/],
  ["a slot as a number", { slots: { v: 0 } }, "slots.v", /is 0, must be an object such as \{"initial":0\}/],
  [
    "a hyperparameter as a number",
    { hyperparameters: { beta: 0.9 } },
    "hyperparameters.beta",
    /is 0.9, must be an object such as \{"default":0.9\}/,
  ],
  [
    "sparse lines without a list's name",
    { sparse: ["w = g"] },
    "sparse",
    /must be null or an object such as/,
  ],
  [
    "an unknown key in a hyperparameter",
    { hyperparameters: { beta: { default: 0.9, min: 0 } } },
    "hyperparameters.beta.min",
    /is an unknown key in hyperparameters.beta, which takes default, minimum, maximum, schedule/,
  ],
  [
    "an unknown key in sparse",
    { sparse: { ...GOOD.sparse, row: ["w = g"] } },
    "sparse.row",
    /which takes all, rows, scalar_rows, after, scatter/,
  ],
  // Assignments.
  [
    "a hyperparameter that is set",
    { dense: [...GOOD.dense, "beta = 1"] },
    "dense.2",
    /Cannot set "beta", it is a hyperparameter.*\(line 3, column 1\)/,
  ],
  [
    "a gradient that is set",
    { dense: ["g = g * 2", ...GOOD.dense] },
    "dense.0",
    /Cannot set "g", it is the gradient: must be w, v, a new name/,
  ],
  ["iterations that are set", { scalars: ["t = 1", ...GOOD.scalars] }, "scalars.0", /Cannot set "t"/],
  [
    "state that a dense line sets",
    { dense: [...GOOD.dense, "power = 1"] },
    "dense.2",
    /it is a number of the state/,
  ],
  [
    "a scalar that a dense line sets",
    { dense: [...GOOD.dense, "alpha = 1"] },
    "dense.2",
    /it is made by scalars/,
  ],
  ["a slot that scalars set", { scalars: [...GOOD.scalars, "v = 1"] }, "scalars.2", /it is a slot/],
  ["the variable set by scalars", { scalars: [...GOOD.scalars, "w = 1"] }, "scalars.2", /it is the variable/],
  ["a function that is set", { dense: [...GOOD.dense, "exp = g"] }, "dense.2", /it names a function/],
  ["a config key that is set", { dense: [...GOOD.dense, "clipnorm = 1"] }, "dense.2", /it is a config key/],
  ["a new name with two underscores", { dense: ["a__b = g", ...GOOD.dense] }, "dense.0", /a name must be/],
  ["a variable that stays", { dense: ["v = beta * v + g * alpha"] }, "dense", /never assigns w/],
  [
    "a variable that stays when sparse",
    { sparse: { ...GOOD.sparse, after: [] } },
    "sparse",
    /never assigns w/,
  ],
  ["sparse lines without rows", { sparse: { all: ["w = w"] } }, "sparse.rows", /missing/],
  // Unused names.
  [
    "a slot that is only read",
    { slots: { v: { initial: 0 }, u: { initial: 0 } }, dense: ["v = beta * v + g", "w = w - alpha * v + u"] },
    "slots.u",
    /is never assigned/,
  ],
  [
    "a slot that is only set",
    { slots: { v: { initial: 0 }, u: { initial: 0 } }, dense: [...GOOD.dense, "u = g"] },
    "slots.u",
    /is never read/,
  ],
  [
    "state that is never set",
    { scalars: ["alpha = learning_rate * power"] },
    "state.power",
    /is never assigned/,
  ],
  [
    "a hyperparameter nobody reads",
    { hyperparameters: { ...GOOD.hyperparameters, gamma: { default: 1 } } },
    "hyperparameters.gamma",
    /is never read/,
  ],
  // Costs.
  [
    "many passes",
    { dense: ["v = v + g", ...new Array(9).fill("v = v / norm(v)"), "w = w - alpha * beta * v"] },
    "dense.10",
    /9 chained reductions/,
  ],
  [
    "many exponentials",
    { dense: ["v = v + g", ...new Array(33).fill("v = exp(v)"), "w = w - alpha * beta * v"] },
    "dense.34",
    /33 powers/,
  ],
  [
    "exponentials that every pass repeats",
    {
      dense: [
        "u = exp(exp(g))",
        ...Array.from({ length: 8 }, (_, n) => `u = u / norm(u + ${n})`),
        "v = v + u",
        "w = w - alpha * beta * v",
      ],
    },
    "dense.10",
    /Cannot take 18 powers, .* at most 16; operations repeated after a reduction count again/,
  ],
  [
    "many operations",
    {
      dense: [
        ...Array.from({ length: 40 }, (_, n) => `v = v + g${` * ${n} + g`.repeat(30)}`),
        "w = w - alpha * beta * v",
      ],
    },
    "dense.40",
    /operations in all lines together, at most 1000/,
  ],
];

function refusalOf(json: unknown): StepwellError {
  try {
    readDefinition(json);
  } catch (error) {
    assert(error instanceof StepwellError, String(error));
    return error;
  }
  throw new Error("It was not refused");
}

Deno.test("readDefinition() accepts the definition that the table's rows change", () => {
  assert.equal(readDefinition(GOOD).sparse?.scatter, false);
});

for (const [what, change, path, wanted] of REFUSED) {
  Deno.test(`readDefinition() refuses ${what}`, () => {
    const { code, issues } = refusalOf({ ...GOOD, ...change });
    assert.equal(code, "invalid_definition");
    const issue = issues.find((each) => each.path === path);
    assert(issue, JSON.stringify(issues));
    assert.match(issue.message, wanted);
  });
}

Deno.test("readDefinition() refuses values that are not definitions", () => {
  for (const json of [null, 1, "Adam", [], {}, { class_name: 1 }, JSON.parse('{"__proto__": {}}')]) {
    assert.equal(refusalOf(json).code, "invalid_definition");
  }
});

Deno.test("readDefinition() accepts its own output", () => {
  const definition = readDefinition(GOOD);
  assert.deepEqual(readDefinition(JSON.parse(JSON.stringify(definition))), definition);
});

const family = new Family<OptimizerMember>("optimizer", [
  memberOf(readDefinition(GOOD)),
  memberOf(readDefinition({
    class_name: "Scheduled",
    hyperparameters: { size: { default: 2, minimum: 0, schedule: true } },
    dense: ["w = w - size * g"],
  })),
]);
const parse = (class_name: string, config: Record<string, unknown> = {}) =>
  parseOptimizer({ class_name, config }, "", family);

Deno.test("a registered optimizer accepts the config keys of every optimizer, with decay and lr", () => {
  const { optimizer, warnings } = parse("Mine", { lr: 0.5, decay: 1, clipvalue: 2, beta: 0.25, name: "" });
  assert.deepEqual(getConfig(optimizer, { hypersCreated: false }), {
    class_name: "Mine",
    config: { name: "mine", clipvalue: 2, learning_rate: 0.5, decay: 1, beta: 0.25 },
  });
  assert.equal(warnings.length, 2);
  assert.equal(learningRate(optimizer, 1), 0.25);
});

Deno.test("a registered optimizer refuses values outside its ranges, and decay without a learning rate", () => {
  const rows: [string, Record<string, unknown>][] = [
    ["Mine", { beta: 1.5 }],
    ["Mine", { beta: { class_name: "Formula", config: { expression: "1 / T" } } }],
    ["Mine", { clipnorm: 1, global_clipnorm: 1 }],
    ["Mine", { gamma: 1 }],
    ["Scheduled", { size: -1 }],
    ["Scheduled", { decay: 1 }],
    ["Scheduled", { lr: 1 }],
    ["Scheduled", { learning_rate: 1 }],
  ];
  for (const [name, config] of rows) {
    assert.throws(() => parse(name, config), { code: "invalid_config" }, JSON.stringify(config));
  }
});

Deno.test("a registered optimizer may have a schedule for any hyperparameter, and no learning rate", () => {
  const { optimizer } = parse("Scheduled", {
    size: { class_name: "Formula", config: { expression: "3 / T" } },
  });
  assert.deepEqual(numbersOfStep(optimizer, 2), { size: 1 });
  assert.deepEqual(numbersOfStep(parse("Scheduled").optimizer, 2), {});
  assert.equal(learningRate(optimizer, 2), 1);
});
