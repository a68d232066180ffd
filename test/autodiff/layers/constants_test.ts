/** Operations of Keras 3 on a tensor and a number, such as `x + 3.0` in a functional model. */
import assert from "node:assert/strict";
import { evaluate } from "../../../src/autodiff/worker/evaluate.ts";
import { Losses } from "../../../src/autodiff/losses.ts";
import { loadTfjs } from "../../../src/autodiff/worker/tfjs.ts";
import { readSettings } from "../../../src/config.ts";
import { StepwellError } from "../../../src/errors.ts";

const tf = await loadTfjs();
const losses = new Losses(readSettings(() => undefined));

const tensor = (name: string) => ({
  class_name: "__keras_tensor__",
  config: { keras_history: [name, 0, 0] },
});

/** A functional model of one operation, as Keras 3 writes it. */
function modelOf(className: string, args: readonly unknown[]) {
  const layer = (class_name: string, name: string, inbound: readonly unknown[], config: object = {}) => ({
    class_name,
    name,
    config: { name, ...config },
    inbound_nodes: inbound.length === 0 ? [] : [{ args: inbound, kwargs: {} }],
  });
  const layers = [
    layer("InputLayer", "x", [], { batch_shape: [null, 2] }),
    layer("Dense", "d", [tensor("x")], { units: 1 }),
    layer(className, "op", args),
  ];
  return {
    class_name: "Functional",
    config: { layers, input_layers: [["x", 0, 0]], output_layers: [["op", 0, 0]] },
  };
}

const VARIABLES = [
  { name: "d/kernel", shape: [2, 1], role: "optimize" as const },
  { name: "d/bias", shape: [1], role: "optimize" as const },
];

/** The value of the operation where `d` gives 5. */
function valueOf(className: string, args: readonly unknown[]): number {
  const loss = { class_name: "MeanAbsoluteError", config: { reduction: "none" } };
  const request = { model: modelOf(className, args), loss, inputs: [[2, 2]], targets: [[-1000]] };
  const { graph, inputs, watched } = losses.compile(request, VARIABLES);
  const values = VARIABLES.map(({ name, shape }) => ({
    name,
    shape,
    values: new Float32Array(shape[0] as number).fill(1),
  }));
  const result = evaluate(tf, { graph, inputs, watched, variables: values, iteration: 0 });
  return (result.loss.values[0] as number) - 1000;
}

function refusalOf(className: string, args: readonly unknown[]): string {
  try {
    valueOf(className, args);
  } catch (error) {
    assert.ok(error instanceof StepwellError);
    assert.equal(error.code, "invalid_loss");
    return error.message;
  }
  throw new Error("It was not refused");
}

Deno.test("an operation on a tensor and a number is computed, on either side", () => {
  const d = tensor("d");
  assert.equal(valueOf("Add", [d, 3.0]), 8);
  assert.equal(valueOf("Add", [3, d]), 8);
  assert.equal(valueOf("Subtract", [d, 3]), 2);
  assert.equal(valueOf("Subtract", [3, d]), -2);
  assert.equal(valueOf("Multiply", [d, -0.5]), -2.5);
  assert.equal(valueOf("Maximum", [d, 7]), 7);
  assert.equal(valueOf("Minimum", [d, 0.25]), 0.25);
  assert.equal(valueOf("Add", [[d, d]]), 10);
  assert.equal(valueOf("TrueDivide", [d, 2]), 2.5);
  assert.equal(valueOf("TrueDivide", [10, d]), 2);
  assert.equal(valueOf("Divide", [d, d]), 1);
  assert.equal(valueOf("Power", [d, 2]), 25);
  assert.equal(valueOf("Power", [2, d]), 32);
  assert.equal(valueOf("Negative", [d]), -5);
});

Deno.test("what takes no number is named", () => {
  const d = tensor("d");
  const only =
    /only Add, Subtract, Multiply, Maximum, Minimum, TrueDivide, Divide, Power take a constant, beside a tensor/;
  for (const className of ["Negative", "FloorDivide", "Dense", "Concatenate"]) {
    const message = refusalOf(className, [d, 2.5]);
    assert.match(message, new RegExp(`"op" is a ${className} that is called with the number 2.5`));
    assert.match(message, only);
  }
  assert.match(refusalOf("Add", [1, 2]), only);
  assert.match(refusalOf("Add", [d, 1e39]), /"op" is called with 1e\+39, must be within float32's range/);
  assert.match(refusalOf("Add", [d, "3"]), /inbound_nodes of the Add "op" must name tensors/);
});

Deno.test("an operation that is not taken is named", () => {
  const d = tensor("d");
  const slice = { class_name: "__slice__", config: { start: 0, stop: 1, step: null } };
  assert.match(refusalOf("FloorDivide", [d, d]), /"op" is a FloorDivide, must be one of .*TrueDivide/);
  assert.match(refusalOf("GetItem", [d, [slice]]), /inbound_nodes of the GetItem "op" must name tensors/);
  assert.match(refusalOf("Power", [d, d, d]), /"op": it has 3 inputs, must have two/);
});
