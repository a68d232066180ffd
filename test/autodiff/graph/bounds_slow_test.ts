/** What a loss may make the service do: it is told from shapes, before anything is computed, and kept to. */
import assert from "node:assert/strict";
import { evaluate } from "../../../src/autodiff/worker/evaluate.ts";
import { compileLoss } from "../../../src/autodiff/graph/compile_loss.ts";
import { WORK_MAX } from "../../../src/autodiff/graph/loss_graph.ts";
import { loadTfjs } from "../../../src/autodiff/worker/tfjs.ts";
import { StepwellError } from "../../../src/errors.ts";
import { elementCount, type Shape } from "../../../src/tensor.ts";

const tf = await loadTfjs();
const ELEMENTS_MAX = 33_554_432;

const VARIABLES = new Map<string, Shape>([
  ["image", [1, 10, 100, 1]],
  ["deep", [1, 30, 30, 500]],
  ["kernel", [2, 2, 1, 1]],
  ["wide", [3, 3, 500, 500]],
  ["square", [2900, 2900]],
  ["nothing", [0, 3]],
  ["some", [3]],
]);

const compile = (text: string) =>
  compileLoss(text, { variables: VARIABLES, inputs: new Map(), elementsMax: ELEMENTS_MAX });

function refused(text: string, code: string, pattern: RegExp): void {
  assert.throws(() => compile(text), (error: unknown) => {
    assert.ok(error instanceof StepwellError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    return true;
  });
}

// tfjs gives what was in memory before, of somebody else's loss perhaps.
for (
  const text of [
    "sum(nothing)",
    "sum(nothing, axis=0)",
    "norm(nothing)",
    "transpose(nothing) @ nothing",
    "concat([nothing, reshape(some, [1, 3])])",
    "pad(nothing, [1, 1], [1, 1])",
    "mean_squared_error(nothing, nothing)",
    "sum(slice(some, [3], [-1]))",
    "tile(some, [0])",
    "nothing * 2",
  ]
) {
  Deno.test(`compileLoss() refuses ${text}: tensors without elements`, () => {
    refused(text, "invalid_loss", /a tensor of shape \[.*\] has no elements/);
  });
}

for (
  const text of [
    "square @ square @ square",
    "conv2d(deep, wide, padding=same)",
    "max_pool2d(deep, [100, 100], strides=[1, 1], padding=same)",
    "average_pool2d(deep, [100, 100], strides=[1, 1], padding=same)",
    "conv2d(image, tile(kernel, [1000, 1000, 1, 1]), padding=same)",
    "max_pool2d(image, [9007199254740991, 9007199254740991], padding=same)",
  ]
) {
  Deno.test(`compileLoss() refuses ${text}: more work than one kernel may have`, () => {
    refused(
      text,
      "loss_too_large",
      new RegExp(`multiplications for one result, must take at most ${WORK_MAX}`),
    );
  });
}

Deno.test("compileLoss() refuses windows with more padding than a loss may hold", () => {
  const point = "slice(reshape(deep, [1, 1, 1, 450000]), [0, 0, 0, 0], [1, 1, 1, 90000])";
  refused(
    `max_pool2d(${point}, [140, 140], padding=same)`,
    "loss_too_large",
    /its tensors have \d+ numbers or more/,
  );
});

/** The most bytes that tensors take while it is evaluated and differentiated. */
function peakOf(text: string): { readonly bytes: number; readonly told: number } {
  const graph = compile(text), engine = tf.engine(), { runKernel } = engine;
  const named = new Set(graph.nodes.flatMap((node) => node.kind === "variable" ? [node.name] : []));
  const variables = [...VARIABLES].filter(([name]) => named.has(name)).map(([name, shape]) => ({
    name,
    shape,
    values: new Float32Array(elementCount(shape)).map((_, at) => Math.sin(at)),
  }));
  let bytes = 0;
  engine.runKernel = (...kernel) => {
    const result = runKernel.apply(engine, kernel);
    bytes = Math.max(bytes, tf.memory().numBytes);
    return result as never;
  };
  try {
    evaluate(tf, { graph, variables, inputs: [], watched: [...named], iteration: 0 });
  } finally {
    engine.runKernel = runKernel;
  }
  return { bytes, told: graph.nodes.reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0) };
}

for (
  const text of [
    "max_pool2d(image, [5, 50], strides=[1, 1], padding=same)",
    "average_pool2d(image, [5, 50], strides=[1, 1], padding=same)",
    "max_pool2d(image, [2, 2], strides=[100000000, 100000000], padding=same)",
    "average_pool2d(image, [2, 2], strides=[100000000, 100000000], padding=same)",
    "conv2d(image, tile(kernel, [3, 20, 1, 1]), padding=same)",
    "conv2d(image, tile(kernel, [2, 2, 1, 1]), padding=same, dilations=[2, 5])",
    "depthwise_conv2d(image, tile(kernel, [3, 20, 1, 1]), padding=same)",
    "depthwise_conv2d(image, kernel, strides=[100000000, 100000000], padding=same)",
    "tile(some, [100000])",
    // Hours, as tfjs differentiates it.
    "gather(2 * tile(some, [100000]), tile(reshape(argmax(some), [1]), [100000]))",
    `concat([${Array(3000).fill("some")}])`,
    `stack([${Array(3000).fill("some")}])`,
    "where(tile(some, [10000]), gather(some, 1), 2)",
    "tile(reshape(some, [3, 1, 1]), [100, 30, 1]) @ reshape(some, [1, 1, 3])",
  ]
) {
  Deno.test(`evaluate() of ${text.slice(0, 100)} ends, and holds a few times what the graph tells`, () => {
    const { bytes, told } = peakOf(text);
    // Before and beside it, and what padding adds.
    assert.ok(bytes < 15 * told + 200_000, `${bytes} bytes for tensors of ${told}`);
  });
}
