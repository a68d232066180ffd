/** Models: dropout, names of weights, and refusals. models_golden_test.ts tests the values. */
import assert from "node:assert/strict";
import { evaluate } from "../../../src/autodiff/worker/evaluate.ts";
import { Losses, type LossRequest } from "../../../src/autodiff/losses.ts";
import { loadTfjs } from "../../../src/autodiff/worker/tfjs.ts";
import { readSettings } from "../../../src/config.ts";
import { StepwellError } from "../../../src/errors.ts";
import { elementCount, type Shape } from "../../../src/tensor.ts";

const tf = await loadTfjs();
const losses = new Losses(readSettings(() => undefined));

type Variables = Readonly<Record<string, Shape>>;
const variablesOf = (variables: Variables) =>
  Object.entries(variables).map(([name, shape]) => ({ name, shape, role: "optimize" as const }));

function lossOf(request: LossRequest, variables: Variables, iteration = 0) {
  const { graph, inputs, watched, names } = losses.compile(request, variablesOf(variables));
  const values = names.map((name) => {
    const shape = variables[name] as Shape;
    return { name, shape, values: new Float32Array(elementCount(shape)).fill(1) };
  });
  return evaluate(tf, { graph, inputs, watched, variables: values, iteration });
}

const layer = (class_name: string, config: object = {}) => ({
  class_name,
  config: { name: class_name, ...config },
});
const chain = (...layers: unknown[]) => ({ class_name: "Sequential", config: layers });
const ones = (rows: number, columns: number) => Array(rows).fill(Array(columns).fill(1));
const node = (className: string, name: string, inbound: unknown, config: object = {}) => ({
  class_name: className,
  name,
  config: { name, ...config },
  inbound_nodes: inbound,
});

Deno.test("Dropout drops different numbers in each iteration, the same in the same one, and none when not training", () => {
  const model = chain(layer("Dense", { units: 100 }), layer("Dropout", { rate: 0.25 }));
  const variables = { "Dense/kernel": [2, 100], "Dense/bias": [100] };
  const loss = { class_name: "MeanAbsoluteError", config: { reduction: "none" } };
  const request = { model, loss, inputs: ones(40, 2), targets: Array(40).fill(Array(100).fill(0)) };
  const at = (iteration: number) => [...lossOf(request, variables, iteration).loss.values];
  assert.deepEqual(at(3), at(3));
  assert.notDeepEqual(at(3), at(4));
  // Each number is 3 or, with probability 1/4, 0; those that stay are scaled up: the mean stays 3.
  const mean = at(3).reduce((sum, x) => sum + x, 0) / 40;
  assert.ok(Math.abs(mean - 3) < 0.2, `${mean}`);
  assert.deepEqual(
    [...lossOf({ ...request, training: false }, variables, 3).loss.values],
    Array(40).fill(3),
  );
});

Deno.test("a layer that is called twice has one set of weights", () => {
  const model = {
    class_name: "Functional",
    config: {
      layers: [
        node("InputLayer", "x", []),
        node("Dense", "d", [[["x", 0, 0, {}]], [["d", 0, 0, {}]]], { units: 2, use_bias: false }),
      ],
      input_layers: [["x", 0, 0]],
      output_layers: [["d", 1, 0]],
    },
  };
  const { loss, gradients } = lossOf({ model, loss: "mae", inputs: [[1, 1]], targets: [[0, 0]] }, {
    "d/kernel": [2, 2],
  });
  assert.deepEqual([...loss.values], [4]);
  assert.deepEqual(gradients.map(({ name, values }) => [name, ...values]), [["d/kernel", 2, 2, 2, 2]]);
});

Deno.test("a loss of a model may be named as Keras does, and var_list and frozen layers choose what is differentiated", () => {
  const model = chain(layer("Dense", { units: 1, trainable: false }));
  const variables = { "Dense/kernel": [2, 1], "Dense/bias": [1] };
  for (
    const loss of ["mse", "MSE", "mean_squared_error", "MeanSquaredError", { class_name: "MeanSquaredError" }]
  ) {
    const request = { model, loss, inputs: ones(3, 2), targets: [[1], [1], [1]] };
    const { loss: value, gradients } = lossOf(request, variables);
    assert.deepEqual([...value.values], [4]);
    assert.deepEqual(gradients, []);
    const asked = lossOf({ ...request, var_list: ["Dense/bias"] }, variables);
    assert.deepEqual(asked.gradients.map(({ name, values }) => [name, ...values]), [["Dense/bias", 4]]);
  }
});

Deno.test("a model may be text, as to_json() returns it", () => {
  const model = JSON.stringify(chain(layer("Dense", { units: 2, use_bias: false })));
  const { loss } = lossOf({ model, loss: "mae", inputs: ones(1, 3), targets: ones(1, 2) }, {
    "Dense/kernel": [3, 2],
  });
  assert.deepEqual([...loss.values], [2]);
});

Deno.test("a regularizer adds to the loss once, however often its layer is called, and not if it is not trainable", () => {
  const l2 = { class_name: "L2", config: { l2: 0.5 } };
  const model = (trainable: boolean) => ({
    class_name: "Functional",
    config: {
      layers: [
        node("InputLayer", "x", []),
        node("Dense", "d", [[["x", 0, 0, {}]], [["d", 0, 0, {}]]], {
          units: 2,
          use_bias: false,
          kernel_regularizer: l2,
          trainable,
        }),
      ],
      input_layers: [["x", 0, 0]],
      output_layers: [["d", 1, 0]],
    },
  });
  const request = (trainable: boolean) => ({
    model: model(trainable),
    loss: "mae",
    inputs: [[1, 1]],
    targets: [[0, 0]],
  });
  const variables = { "d/kernel": [2, 2] };
  assert.deepEqual([...lossOf(request(true), variables).loss.values], [4 + 0.5 * 4]);
  assert.deepEqual([...lossOf(request(false), variables).loss.values], [4]);
});

Deno.test("layers that are random while training draw the same numbers in the same iteration only", () => {
  const shapes = { SpatialDropout1D: [40, 5, 20], SpatialDropout2D: [40, 2, 2, 20] } as Record<
    string,
    number[]
  >;
  const configs = {
    GaussianNoise: { stddev: 0.5 },
    GaussianDropout: { rate: 0.2 },
    SpatialDropout1D: { rate: 0.25 },
    SpatialDropout2D: { rate: 0.25 },
  };
  for (const [className, config] of Object.entries(configs)) {
    const shape = shapes[className] ?? [50, 100], count = elementCount(shape);
    const tensor = (x: number) => ({
      dtype: "float32",
      shape,
      base64: new Uint8Array(new Float32Array(count).fill(x).buffer).toBase64(),
    });
    // The mean of the squares of each number minus 1 is the variance.
    const request = {
      model: chain(layer(className, config)),
      loss: "mse",
      inputs: tensor(1),
      targets: tensor(1),
    };
    const at = (iteration: number) => lossOf(request, {}, iteration).loss.values[0] as number;
    assert.equal(at(3), at(3));
    assert.notEqual(at(3), at(4));
    const wanted = className === "GaussianNoise" || className === "GaussianDropout" ? 0.25 : 1 / 3;
    const mean = Array.from({ length: 8 }, (_, iteration) => at(iteration)).reduce((sum, x) => sum + x) / 8;
    assert.ok(Math.abs(mean - wanted) < 0.05, `${className}: ${mean}, must be near ${wanted}`);
    const quiet = lossOf({ ...request, training: false }, {}).loss.values[0];
    assert.equal(quiet, 0);
  }
});

const functional = (layers: unknown[], inputs: unknown, outputs: unknown) => ({
  class_name: "Functional",
  config: { layers, input_layers: inputs, output_layers: outputs },
});
const input = node("InputLayer", "x", []);

const REFUSED: readonly (readonly [string, Partial<LossRequest>, RegExp])[] = [
  ["no model", { model: {} }, /must be the JSON of a model/],
  ["no layers", { model: { class_name: "Sequential", config: {} } }, /must have a list of layers/],
  ["a layer that is none", { model: chain(3) }, /a layer must be/],
  ["a layer without a name", { model: chain({ class_name: "ReLU", config: {} }) }, /class ReLU has no name/],
  ["two layers of a name", { model: chain(layer("ReLU"), layer("ReLU")) }, /two layers are named "ReLU"/],
  [
    "too many layers",
    { model: chain(...Array(1001).fill(layer("ReLU"))) },
    /has 1001 layers, must have at most 1000/,
  ],
  [
    "an unknown layer",
    { model: chain(layer("Lambda")) },
    /"Lambda" is a Lambda, must be one of Dense, Embedding/,
  ],
  [
    "an activation that is code",
    { model: chain(layer("Activation", { activation: "eval" })) },
    /activation is "eval", must be one of "linear", .* or of type null/,
  ],
  [
    "a size that is neither a number nor two",
    { model: chain(layer("UpSampling2D", { size: [2, "2"] })) },
    /size is \[2,"2"\], must be of type (int|number) or one whose 1 must be of type (int|number)/,
  ],
  [
    "a config of another type",
    { model: chain(layer("Dense", { units: "3" })) },
    /units is "3", must be of type/,
  ],
  [
    "a size beyond bounds",
    { model: chain(layer("Dense", { units: 1e12 })) },
    /units is 1000000000000, must be <=/,
  ],
  ["channels first", { model: chain(layer("Flatten", { data_format: "channels_first" })) }, /data_format/],
  ["half precision", { model: chain(layer("ReLU", { dtype: "float16" })) }, /dtype is an unknown key/],
  [
    "a missing weight",
    { model: chain(layer("Dense", { units: 2 })) },
    /the run has no variable "Dense\/kernel", must have one of shape \[3, 2\]/,
  ],
  [
    "a weight of another shape",
    { model: chain(layer("Dense", { name: "d", units: 2 })) },
    /"d\/kernel" has shape \[2, 2\].*must be of shape \[3, 2\]/,
  ],
  [
    "an input of another shape",
    { model: chain(layer("ReLU", { batch_input_shape: [null, 4] })) },
    /has shape \[2, 3\], must be \[any, 4\]/,
  ],
  [
    "an input that is not there",
    { model: chain(layer("ReLU")), inputs: { y: 1, z: 2 } },
    /the model has one input/,
  ],
  [
    "several outputs",
    { model: functional([input], [["x", 0, 0]], [["x", 0, 0], ["x", 0, 0]]) },
    /has 2 outputs/,
  ],
  [
    "a layer that is not there",
    { model: functional([input], [["x", 0, 0]], [["y", 0, 0]]) },
    /there is no layer "y"/,
  ],
  ["a call that is not there", {
    model: functional([input, node("ReLU", "r", [])], [["x", 0, 0]], [["r", 0, 0]]),
  }, /"r" has no call 0/],
  ["a circle", {
    model: functional([input, node("ReLU", "a", [[["b", 0, 0]]]), node("ReLU", "b", [[["a", 0, 0]]])], [[
      "x",
      0,
      0,
    ]], [["b", 0, 0]]),
  }, /feeds itself/],
  ["a call with more than tensors", {
    model: functional([input, node("ReLU", "a", [[["x", 0, 0, { training: true }]]])], [["x", 0, 0]], [[
      "a",
      0,
      0,
    ]]),
  }, /call it with training/],
  ["text that is not JSON", { model: "{" }, /is text that is not JSON/],
  ["a text that is no model", { model: "[]" }, /must be the JSON of a model/],
  [
    "layers of one name in two models",
    {
      model: chain(...["A", "B"].map((name) => ({
        class_name: "Sequential",
        config: { name, layers: [layer("Dense", { name: "d3", units: 3, use_bias: false })] },
      }))),
    },
    /the layer "B\/d3": its variable "d3\/kernel" belongs to the layer "A\/d3", must have another name/,
  ],
  [
    "an unknown regularizer",
    {
      model: chain(
        layer("Dense", { name: "d3", units: 3, kernel_regularizer: { class_name: "eval", config: {} } }),
      ),
    },
    /kernel_regularizer must be null, or an L1, an L2 or an L1L2/,
  ],
  [
    "a regularizer of what comes out",
    { model: chain(layer("ReLU", { activity_regularizer: { class_name: "L2", config: { l2: 1 } } })) },
    /activity_regularizer is an unknown key/,
  ],
  [
    "a regularizer, and a loss for each example",
    {
      model: chain(
        layer("Dense", {
          name: "d3",
          units: 3,
          use_bias: false,
          kernel_regularizer: { class_name: "L2", config: { l2: 1 } },
        }),
      ),
      loss: { class_name: "MeanSquaredError", config: { reduction: "none" } },
    },
    /has the reduction none, must have another where layers have regularizers/,
  ],
  [
    "more cut off than there is",
    { model: chain(layer("Cropping1D", { cropping: 2 })), inputs: [ones(2, 3)] },
    /nothing is left/,
  ],
  ["a wrapper around a model", {
    model: chain(layer("TimeDistributed", { layer: { class_name: "Lambda", config: { name: "code" } } })),
    inputs: [ones(2, 3)],
  }, /is a Lambda, must be one of/],
  ["one input for a merge", { model: chain(layer("Add")) }, /has 1 inputs, must have two or more/],
  [
    "an unknown loss",
    { model: chain(layer("ReLU")), loss: "exec" },
    /the loss is "exec", must be one of MeanSquaredError/,
  ],
  ["a loss with what it has not", {
    model: chain(layer("ReLU")),
    loss: { class_name: "MeanSquaredError", config: { from_logits: true } },
  }, /MeanSquaredError: from_logits is an unknown key; it takes reduction/],
  [
    "targets of another shape",
    { model: chain(layer("ReLU")), targets: [1, 2] },
    /the targets have shape \[2\], must have \[2, 3\]/,
  ],
];

for (const [what, request, pattern] of REFUSED) {
  Deno.test(`compile() refuses a model with ${what}`, () => {
    const whole = { loss: "mse", inputs: ones(2, 3), targets: ones(2, 3), ...request };
    const compile = () => losses.compile(whole, variablesOf({ "d/kernel": [2, 2], "d3/kernel": [3, 3] }));
    assert.throws(compile, (error) => {
      assert.ok(error instanceof StepwellError, String(error));
      assert.equal(error.code, "invalid_loss");
      assert.match(error.message, pattern);
      return true;
    });
  });
}

Deno.test("compile() soon refuses a model whose nested models call each other over and over", () => {
  const twice = (name: string, inner: unknown) => ({
    class_name: "Functional",
    name,
    config: {
      name,
      layers: [input, inner, node("Add", "sum", [[["inner", 0, 0], ["inner", 1, 0]]])],
      input_layers: [["x", 0, 0]],
      output_layers: [["sum", 0, 0]],
    },
    inbound_nodes: [[["x", 0, 0]], [["x", 0, 0]]],
  });
  let model: unknown = node("ReLU", "inner", [[["x", 0, 0]], [["x", 0, 0]]]);
  for (let depth = 0; depth < 40; depth++) model = twice("inner", model);
  const request = { model, loss: "mse", inputs: ones(2, 3), targets: ones(2, 3) };
  assert.throws(() => losses.compile(request, []), /called more than 2000 times/);
});

Deno.test("compile() accepts or refuses long chains and nested models without exhausting the stack", () => {
  const compile = (model: unknown) =>
    losses.compile({ model, loss: "mse", inputs: ones(2, 3), targets: ones(2, 3) }, []);
  const line = (count: number, inner: unknown) =>
    functional(
      [
        input,
        ...Array.from({ length: count }, (_, at) => {
          const name = `l${at}`, before = [[[at === 0 ? "x" : `l${at - 1}`, 0, 0]]];
          return at === 0 && inner
            ? { ...(inner as object), name, inbound_nodes: before }
            : node("ReLU", name, before);
        }),
      ],
      [["x", 0, 0]],
      [[`l${count - 1}`, 0, 0]],
    );
  assert.ok(compile(line(999, undefined)).graph.nodes.length > 999);
  assert.throws(() => compile(line(999, line(999, undefined))), /feed each other more than 1200 deep/);
  for (const [depth, isTaken] of [[500, true], [5000, false], [100_000, false]] as const) {
    let text = '{"class_name": "ReLU", "config": {"name": "r"}}';
    const [open, close] = ['{"class_name": "Sequential", "config": {"name": "s", "layers": [', "]}}"];
    text = open.repeat(depth) + text + close.repeat(depth);
    if (isTaken) assert.equal(compile(JSON.parse(text)).graph.nodes.length, 4);
    else assert.throws(() => compile(JSON.parse(text)), /feed each other more than 1200 deep/);
  }
});

Deno.test("compile() soon refuses wrappers of wrappers of wrappers", () => {
  let wrapped: unknown = layer("ReLU");
  for (let depth = 0; depth < 3000; depth++) {
    wrapped = { class_name: "TimeDistributed", config: { name: "t", layer: wrapped } };
  }
  const request = { model: chain(wrapped), loss: "mse", inputs: [ones(2, 3)], targets: [ones(2, 3)] };
  assert.throws(() => losses.compile(request, []), (error) => {
    assert.ok(error instanceof StepwellError, String(error));
    return true;
  });
});
