/** Layers models against tf_keras and Keras 3. */
import assert from "node:assert/strict";
import { evaluate } from "../../../src/autodiff/worker/evaluate.ts";
import { LAYERS } from "../../../src/autodiff/layers/mod.ts";
import { Losses } from "../../../src/autodiff/losses.ts";
import { loadTfjs } from "../../../src/autodiff/worker/tfjs.ts";
import { readSettings } from "../../../src/config.ts";
import { nest } from "../../../src/wire/nested_numbers.ts";
import {
  assertClose,
  assertGolden,
  type GoldenLoss,
  type GoldenTensor,
  namedTensors,
  readGoldens,
  valuesOf,
} from "../support/goldens.ts";

type GoldenModel = GoldenLoss & {
  readonly model: Readonly<Record<string, unknown>>;
  readonly loss: unknown;
  readonly training: boolean;
  /** Variables of role "average". */
  readonly averages: readonly string[];
  readonly targets: GoldenTensor;
  readonly expected: { readonly updates: Readonly<Record<string, GoldenTensor>> };
};

const goldens = [...readGoldens<GoldenModel>("models"), ...readGoldens<GoldenModel>("operations")];
const losses = new Losses(readSettings(() => undefined));
const json = (tensor: GoldenTensor) => nest(valuesOf(tensor), tensor.shape);

function compile({ model, loss, training, inputs, targets, variables, averages }: GoldenModel) {
  const only = inputs[""];
  const given = only
    ? json(only)
    : Object.fromEntries(Object.entries(inputs).map(([name, each]) => [name, json(each)]));
  const request = JSON.parse(
    JSON.stringify({ model, loss, training, inputs: given, targets: json(targets) }),
  );
  return losses.compile(
    request,
    Object.entries(variables).map(([name, { shape }]) => ({
      name,
      shape,
      role: averages.includes(name) ? "average" as const : "optimize" as const,
    })),
  );
}

Deno.test("evaluate() gives the losses, gradients and averages of models that Keras gives", async (t) => {
  const tf = await loadTfjs();
  for (const golden of goldens) {
    await t.step(golden.name, () => {
      const { graph, inputs, watched, names } = compile(golden);
      const variables = namedTensors(golden.variables).filter(({ name }) => names.includes(name));
      const evaluation = evaluate(tf, { graph, inputs, watched, variables, iteration: 0 });
      assert.deepEqual([...watched].sort(), Object.keys(golden.expected.gradients).sort());
      assertGolden(golden, evaluation);
      const updates = new Map(evaluation.updates.map((update) => [update.name, update]));
      for (const [name, wanted] of Object.entries(golden.expected.updates)) {
        // The golden omits averages that Keras leaves unchanged.
        const got = updates.get(name) ??
          namedTensors(golden.variables).find((variable) => variable.name === name);
        assert.ok(got);
        assertClose(got, wanted, { bound: golden.bound, what: `the average ${name}` });
      }
      assert.ok([...updates.keys()].every((name) => name in golden.expected.updates));
    });
  }
});

Deno.test("every layer is among the goldens", () => {
  const text = JSON.stringify(goldens.map(({ model }) => model));
  assert.deepEqual([...LAYERS.keys()].filter((name) => !text.includes(`"class_name":"${name}"`)), []);
});
