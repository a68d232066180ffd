/** Formulas, losses, models, members of families, specs of runs and settings, mostly nearly right. */
import fc from "fast-check";
import { FUNCTIONS } from "../../../src/autodiff/functions/mod.ts";
import { SETTINGS } from "../../../src/config.ts";
import type { RunSpec } from "../../../src/run/api/run_spec.ts";
import { REDUCTIONS } from "../../../kernels/language/formula_reductions.ts";
import { OPS } from "../../../kernels/language/ops.ts";
import { MEMBERS } from "../../families/support/members.ts";
import { damaged, jsonOf, leaf, piled, repeated, repetitions, seldom, strange, twisted } from "./texts.ts";

export const OPERATORS = [
  "+",
  "-",
  "*",
  "/",
  "^",
  "@",
  "(",
  ")",
  "[",
  "]",
  ",",
  "=",
  "<",
  ">=",
  "==",
  ":",
  ";",
  "\n",
  " ",
];
export const NUMBERS = ["0", "1", "0.5", "1e-7", "2", "-1", "1e999", "."];
const PIECES = [
  "(",
  "-",
  "g+",
  "exp(",
  "g^",
  "[",
  "1,",
  "x = 1;",
  "where(",
  "#",
  "g=",
  "'a",
  "0",
  "\n",
  " ",
  "g",
];
const ENDS = { begins: ["", "w = ", "sum("], ends: ["", "g", ")"] };
export const BIG = repeated(PIECES, ENDS);
export const LARGE = repetitions(PIECES, { ...ENDS, ends: ["g"] });

export const FORMULA_WORDS = [...OPS.keys(), ...REDUCTIONS.keys()].flatMap((name) => [name, `${name}(`]);
const FORMULAS = ["w = w - 0.1 * g", "m = 0.9 * m + g", "g = clamp(g, -1, 1)", "w = where(g > 0, w, -w) ^ 2"];
export const line = seldom(
  fc.oneof(
    damaged(fc.constantFrom(...FORMULAS)),
    piled([...FORMULA_WORDS, ...OPERATORS, ...NUMBERS, "w", "g", "m", "t"]).map((text) => `w = ${text}`),
  ),
  BIG,
);
export const lines = fc.array(line, { minLength: 1, maxLength: 3 });

export const VARIABLES = new Map([["kernel", [2, 3]], ["bias", [3]], ["emb", [4, 2]], ["s", []], ["a/b", [
  0,
  2,
]]]);
export const INPUTS = new Map([["x", [2, 2]], ["i", [3]], ["y", [1]]]);
const LOSS_WORDS = [...FUNCTIONS.keys()].flatMap((name) => [name, `${name}(`]);
const LOSSES = [
  "mean(square(x @ kernel + bias))",
  "h = relu(x @ kernel); sum(h) / 2 + 0.1 * sum(kernel ^ 2)",
  "sum(gather(emb, i), axis=[0, 1], keepdims=true)",
  "sum(concat([bias, y], axis=0))",
  "'a/b' * reshape(s, [1])",
];
export const lossText = seldom(
  fc.oneof(
    damaged(fc.constantFrom(...LOSSES)),
    piled([...LOSS_WORDS, ...OPERATORS, ...NUMBERS, ...VARIABLES.keys(), ...INPUTS.keys(), "axis=", "true"]),
  ),
  BIG,
);

/** Calls that mostly have as many arguments as the function takes. */
export const call = fc.constantFrom(...FUNCTIONS.values()).chain(({ name, tensors, options }) => {
  const names = [...VARIABLES.keys(), ...INPUTS.keys()].filter((each) => !each.includes("/"));
  const tensor = fc.oneof(fc.constantFrom(...names), fc.constantFrom("1", "square(kernel)", "bias + 1"));
  const value = fc.oneof(
    fc.constantFrom(
      "0",
      "1",
      "2",
      "-1",
      "true",
      "false",
      "same",
      "valid",
      "[0]",
      "[1, 2]",
      "[]",
      "1e9",
      "[[1]]",
    ),
    fc.array(fc.nat(4), { maxLength: 4 }).map((list) => `[${list}]`),
  );
  const given = tensors[0] === "..."
    ? fc.array(tensor, { maxLength: 3 }).map((list) => [`[${list}]`])
    : fc.tuple(...tensors.map(() => tensor));
  const chosen = fc.tuple(
    ...Object.keys(options).map((key) =>
      fc.option(value, { nil: undefined }).map((text) => text === undefined ? [] : [`${key}=${text}`])
    ),
  );
  return fc.tuple(given, chosen).map(([args, keywords]) => `${name}(${[...args, ...keywords.flat()]})`);
});

const layer = (class_name: string, config: object) => ({ class_name, config: { name: "dense", ...config } });
const SEQUENTIAL = {
  class_name: "Sequential",
  config: {
    name: "m",
    layers: [
      layer("InputLayer", { name: "in", batch_input_shape: [null, 2], dtype: "float32" }),
      layer("Dense", { units: 3, activation: "relu", use_bias: true, kernel_regularizer: null }),
      layer("Dropout", { name: "drop", rate: 0.5, seed: 3 }),
      layer("Activation", { name: "act", activation: "softmax" }),
    ],
  },
};
const node = (name: string, at = 0) => [name, 0, at, {}];
const FUNCTIONAL = {
  class_name: "Functional",
  config: {
    name: "f",
    layers: [
      { ...layer("InputLayer", { name: "in", batch_input_shape: [null, 2] }), name: "in", inbound_nodes: [] },
      { ...layer("Dense", { units: 3 }), name: "dense", inbound_nodes: [[node("in")]] },
      { ...layer("Add", { name: "add" }), name: "add", inbound_nodes: [[node("dense"), node("dense")]] },
    ],
    input_layers: [["in", 0, 0]],
    output_layers: [["add", 0, 0]],
  },
};
const modelLeaf = fc.oneof(
  leaf,
  fc.constantFrom("Dense", "Conv2D", "LSTM", "Add", "relu", "in", "dense", "add", "same", "Bidirectional"),
  fc.constantFrom([null, 2], [["in", 0, 0]], [[["in", 0, 0, {}]]], { class_name: "L2", config: { l2: 0.1 } }),
  fc.constant(SEQUENTIAL.config.layers[1]),
);
export const model = fc.oneof(
  twisted(SEQUENTIAL, modelLeaf),
  twisted(FUNCTIONAL, modelLeaf),
  jsonOf(["class_name"], leaf),
);
export const MODEL_VARIABLES = [
  { name: "dense/kernel", shape: [2, 3], role: "optimize" },
  { name: "dense/bias", shape: [3], role: "optimize" },
] as const;

/** A member of a family, or nearly. */
export const memberOf = MEMBERS.map(({ family, member: { class_name }, given }) =>
  twisted({ class_name, config: given }, fc.oneof(leaf, strange, fc.constantFrom("Nope", [], {}))).map((
    json,
  ) => ({ family, json }))
);

export const SPEC: RunSpec = {
  id: "demo",
  optimizer: { class_name: "Adam", config: { learning_rate: 0.1, global_clipnorm: 1 } },
  variables: [
    { name: "kernel", shape: [2, 3], constraint: { class_name: "MaxNorm", config: { axis: 0 } } },
    { name: "mean", shape: [3], role: "average" },
  ],
  aggregation: {
    mode: "round",
    quorum: 3,
    aggregator: { class_name: "TrimmedMean", config: { trim_ratio: 0.1 } },
    payload: "delta",
    staleness_weighting: "Polynomial",
    client_clipnorm: 1,
  },
  gradient_transformers: [{ class_name: "Formula", config: { lines: ["g = clamp(g, -1, 1)"] } }],
};

const SETTING_PIECES = ["a", ", a", "/a", "0", "::", ".", "a:1,", "://", "a://a,", " "];
export const SETTING_EXTREMES = repetitions(SETTING_PIECES, { begins: ["", "a", "/", "a://a"], ends: ["!"] });

const settingText = fc.oneof(
  damaged(fc.constantFrom(
    ...[
      "127.0.0.1",
      "localhost",
      "0.0.0.0",
      "::1",
      "https://example.org, http://a:1",
      "*",
      "10.0.0.0/8, ::1/128",
    ],
    ...["/stepwell/a", "a.example:80, b", "0123456789abcdef", "requests", "./data", "4096", "0"],
  )),
  fc.nat().map(String),
  seldom(
    fc.string({ unit: "binary", maxLength: 12 }),
    repeated(["a", ", a", "/a", "0", "::", ".", "a:1,", "://"]),
    50,
  ),
);
export const environment = fc.dictionary(fc.constantFrom(...Object.keys(SETTINGS)), settingText, {
  maxKeys: 3,
});
