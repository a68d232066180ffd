/** Requests that operations with a loss must refuse. For expressions: test/autodiff/graph/compile_loss_test.ts. */
import { contributing, type Rejection, row, type Target } from "./rejections.ts";

const LOSS = "sum(square(kernel)) + sum(gather(emb, i))";
const INPUTS = { i: [3, 0] };
const loss = (loss: unknown, more: object = {}) => ({ loss, ...more });

const layers = (...layers: unknown[]) => ({ class_name: "Sequential", config: { name: "m", layers } });
const layer = (class_name: string, config: object) => ({ class_name, config: { name: "it", ...config } });
const model = (model: unknown, more: object = {}) => ({
  model,
  loss: "mse",
  inputs: [[1, 2]],
  targets: [[1, 2, 3]],
  ...more,
});

export const LOSS_REJECTIONS: readonly Rejection[] = [
  row("no loss", "invalid_request", { inputs: {} }, { at: "loss" }),
  row("an empty loss", "invalid_request", loss(""), { at: "loss" }),
  row("a loss that is a number", "invalid_request", loss(3), { at: "loss" }),
  row("a member without a model", "invalid_request", loss({ class_name: "MeanSquaredError" }), {
    at: "loss",
  }),
  row("a loss that cannot be read", "invalid_loss", loss("sum(bias"), { at: "loss" }),
  row("an unknown name", "invalid_loss", loss("sum(nope)"), { at: "loss" }),
  row("an unknown function", "invalid_loss", loss("eval(bias)"), { at: "loss" }),
  row("shapes that do not fit", "invalid_loss", loss("kernel @ kernel"), { at: "loss" }),
  row("too many characters", "invalid_loss", loss(`bias${" ".repeat(20_000)}`), { at: "loss" }),
  row("too many numbers", "loss_too_large", loss("sum(tile(bias, [100000000]))"), { at: "loss" }),
  row("an input with a variable's name", "invalid_request", loss("bias", { inputs: { bias: [1] } }), {
    at: "inputs.bias",
  }),
  row("an input that is no tensor", "invalid_number", loss("x", { inputs: { x: "a" } }), { at: "inputs.x" }),
  row("a ragged input", "shape_mismatch", loss("x", { inputs: { x: [[1], [1, 2]] } }), { at: "inputs.x" }),
  row(
    "an input of an unknown dtype",
    "invalid_request",
    loss("x", {
      inputs: { x: { dtype: "complex64", shape: [1], base64: "AAAAAAAAAAA=" } },
    }),
    { at: "inputs.x" },
  ),
  row("inputs in a list", "invalid_request", loss("bias", { inputs: [1] }), { at: "inputs" }),
  row(
    "an unknown variable to differentiate by",
    "unknown_variable",
    loss("sum(bias)", { var_list: ["bias", "b"] }),
    {
      at: "var_list.1",
    },
  ),
  row("a variable twice", "invalid_request", loss("sum(bias)", { var_list: ["bias", "bias"] }), {
    at: "var_list.1",
  }),
  row("no variable to differentiate by", "invalid_request", loss("sum(bias)", { var_list: [] }), {
    at: "var_list",
  }),
  row("a grad_loss of another shape", "shape_mismatch", loss("bias * 2", { grad_loss: [1, 2] }), {
    at: "grad_loss",
  }),
  row("an index out of range", "index_out_of_range", loss("sum(gather(emb, i))", { inputs: { i: [0, 4] } })),
  row(
    "an index that is no integer",
    "index_out_of_range",
    loss("sum(gather(emb, i))", { inputs: { i: [0.5] } }),
  ),
  row(
    "an index that is NaN",
    "index_out_of_range",
    loss("sum(gather(emb * 1, i))", { inputs: { i: ["NaN"] } }),
  ),
  row("targets without a model", "invalid_request", loss("sum(bias)", { targets: [1] }), { at: "targets" }),
  row("training without a model", "invalid_request", loss("sum(bias)", { training: true }), {
    at: "training",
  }),
  row("a model without targets", "invalid_request", { ...model(layers()), targets: undefined }, {
    at: "targets",
  }),
  row("a model without layers", "invalid_loss", model(layers()), { at: "model" }),
  row("a model that is none", "invalid_loss", model({ class_name: "Dense", config: {} }), { at: "model" }),
  row("a layer that runs code", "invalid_loss", model(layers(layer("Lambda", { function: "x" }))), {
    at: "model",
  }),
  row("a layer without its variables", "invalid_loss", model(layers(layer("Dense", { units: 3 }))), {
    at: "model",
  }),
  row("a layer with an unknown key", "invalid_loss", model(layers(layer("Softmax", { x: 1 }))), {
    at: "model",
  }),
  row(
    "a layer with a regularizer",
    "invalid_loss",
    model(layers(layer("Activation", {
      activation: "relu",
      activity_regularizer: { class_name: "L2" },
    }))),
    { at: "model" },
  ),
  row(
    "a model that feeds itself",
    "invalid_loss",
    model({
      class_name: "Functional",
      config: {
        layers: [{ class_name: "ReLU", name: "a", config: {}, inbound_nodes: [[["a", 0, 0, {}]]] }],
        input_layers: [],
        output_layers: [["a", 0, 0]],
      },
    }, { inputs: {} }),
    { at: "model" },
  ),
  row("an unknown loss of a model", "invalid_loss", model(layers(layer("Softmax", {})), { loss: "nope" }), {
    at: "loss",
  }),
  row(
    "targets of another shape",
    "invalid_loss",
    model(layers(layer("Softmax", {})), { targets: [[1, 2, 3]] }),
    {
      at: "targets",
    },
  ),
];

const good = { loss: LOSS, inputs: INPUTS };

export const LOSS_TARGETS: Readonly<Record<string, Target>> = {
  compute_gradients: {
    method: "POST",
    path: "/v1/runs/demo/compute-gradients",
    takesFiles: false,
    good,
    rejections: [
      ...LOSS_REJECTIONS,
      row("a step's fields", "invalid_request", { ...good, weight: 1 }),
      row("Accept of nothing we have", "not_acceptable", good, { headers: { Accept: "image/png" } }),
    ],
  },
  minimize: {
    method: "POST",
    path: "/v1/runs/demo/minimize",
    takesFiles: false,
    good,
    rejections: [
      ...LOSS_REJECTIONS,
      ...contributing(good),
      row("a loss of no variable", "no_gradients", loss("3")),
      row(
        "a loss that depends on none that is asked for",
        "no_gradients",
        loss("sum(kernel)", { var_list: ["bias"] }),
      ),
      row("a gradient that is not finite", "non_finite_gradient", loss("sum(log(0 * bias))")),
      row(
        "rows of a variable with a constraint",
        "sparse_with_constraint",
        loss("sum(gather(kernel, i))", {
          inputs: { i: [0] },
        }),
      ),
      row("a weight of 0", "invalid_request", { ...good, weight: 0 }, { at: "weight" }),
      row("a base_iteration", "invalid_request", { ...good, base_iteration: 0 }),
      row("an unknown hyperparameter", "invalid_config", { ...good, hyperparameters: { nope: 1 } }),
      row("dry_run=1", "invalid_request", good, { path: "?dry_run=1", at: "query.dry_run" }),
      row("Accept of nothing we have", "not_acceptable", good, {
        headers: { Accept: "image/png", Prefer: "return=representation" },
      }),
    ],
  },
};
