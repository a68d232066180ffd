/** The loss language against TensorFlow. */
import assert from "node:assert/strict";
import { evaluate } from "../../../src/autodiff/worker/evaluate.ts";
import { compileLoss } from "../../../src/autodiff/graph/compile_loss.ts";
import { FUNCTIONS } from "../../../src/autodiff/functions/mod.ts";
import { loadTfjs } from "../../../src/autodiff/worker/tfjs.ts";
import { assertGolden, type GoldenLoss, namedTensors, readGoldens, valuesOf } from "../support/goldens.ts";

const goldens = readGoldens<GoldenLoss & { readonly loss: string }>("expressions");

const shapesOf = (tensors: GoldenLoss["variables"]) =>
  new Map(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));

const compile = ({ loss, variables, inputs }: typeof goldens[number]) =>
  compileLoss(loss, { variables: shapesOf(variables), inputs: shapesOf(inputs), elementsMax: 1e6 });

Deno.test("evaluate() gives the losses and gradients that TensorFlow gives", async (t) => {
  const tf = await loadTfjs();
  for (const golden of goldens) {
    await t.step(golden.name, () => {
      const before = tf.memory().numTensors;
      const evaluation = evaluate(tf, {
        graph: compile(golden),
        variables: namedTensors(golden.variables),
        inputs: namedTensors(golden.inputs),
        iteration: 0,
        watched: Object.keys(golden.variables),
        lossGradient: golden.grad_loss && valuesOf(golden.grad_loss),
      });
      assertGolden(golden, evaluation);
      assert.equal(tf.memory().numTensors, before, "tensors are left behind");
    });
  }
});

Deno.test("every function of the loss language is among the goldens", () => {
  const used = new Set(
    goldens.flatMap((golden) =>
      compile(golden).nodes.map((node) => node.kind === "call" ? node.name : node.kind)
    ),
  );
  assert.deepEqual([...FUNCTIONS.keys()].filter((name) => !used.has(name)), []);
});
