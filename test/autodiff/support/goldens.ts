/** Losses and gradients computed by TensorFlow (test/golden/make_losses.py), and comparisons of ours with them. */
import assert from "node:assert/strict";
import type { Evaluation } from "../../../src/autodiff/losses.ts";
import { elementCount, type NamedTensor } from "../../../src/tensor.ts";

export interface GoldenTensor {
  readonly shape: number[];
  /** Base64 of little-endian float32. */
  readonly values: string;
  /** Rows of a sparse gradient. */
  readonly indices?: readonly number[];
}
type Tensors = Readonly<Record<string, GoldenTensor>>;

export interface GoldenLoss {
  readonly name: string;
  readonly variables: Tensors;
  readonly inputs: Tensors;
  readonly grad_loss?: GoldenTensor;
  readonly expected: {
    readonly loss: GoldenTensor;
    readonly gradients: Readonly<Record<string, GoldenTensor | null>>;
  };
  readonly bound: { readonly relative: number };
}

export function readGoldens<T extends GoldenLoss>(name: string): readonly T[] {
  const text = Deno.readTextFileSync(new URL(`../../golden/losses/${name}.json`, import.meta.url));
  return (JSON.parse(text) as { cases: T[] }).cases;
}

export const valuesOf = ({ values }: GoldenTensor) => new Float32Array(Uint8Array.fromBase64(values).buffer);

export const namedTensors = (tensors: Tensors): NamedTensor[] =>
  Object.entries(tensors).map(([name, tensor]) => ({ name, shape: tensor.shape, values: valuesOf(tensor) }));

/** Sparse gradients are compared by the sums of their rows: the order of the rows does not matter. */
export function assertGolden(
  { variables, expected, bound }: GoldenLoss,
  { loss, gradients }: Evaluation,
): void {
  assertClose(loss, expected.loss, { bound, what: "the loss" });
  const found = new Map(gradients.map((gradient) => [gradient.name, gradient]));
  for (const [name, wanted] of Object.entries(expected.gradients)) {
    const got = found.get(name), what = `the gradient of ${name}`;
    if (wanted === null) {
      assert.equal(got, undefined, `${what} must be none`);
      continue;
    }
    assert.ok(got, `${what} is missing`);
    assert.equal("indices" in got, wanted.indices !== undefined, `${what}: sparse or dense`);
    const { shape } = variables[name] as GoldenTensor;
    const whole = (values: Float32Array, indices: ArrayLike<number>) => {
      const sum = new Float32Array(elementCount(shape)), length = elementCount(shape.slice(1));
      Array.from(indices, (row, at) => {
        for (let i = 0; i < length; i++) {
          sum[row * length + i] = (sum[row * length + i] as number) + (values[at * length + i] as number);
        }
      });
      return sum;
    };
    if ("indices" in got && wanted.indices) {
      assert.deepEqual([...got.indices].sort(), [...wanted.indices].sort());
      const sum = { shape, values: whole(got.values, got.indices) };
      assertClose(sum, { shape, values: whole(valuesOf(wanted), wanted.indices) }, { bound, what });
    } else assertClose(got, wanted, { bound, what });
  }
}

export function assertClose(
  got: { readonly shape: readonly number[]; readonly values: Float32Array },
  wanted: GoldenTensor | { readonly shape: readonly number[]; readonly values: Float32Array },
  { bound: { relative }, what }: { readonly bound: { readonly relative: number }; readonly what: string },
): void {
  assert.deepEqual(got.shape, wanted.shape, `shape of ${what}`);
  const values = typeof wanted.values === "string" ? valuesOf(wanted as GoldenTensor) : wanted.values;
  const scale = values.reduce((most, x) => Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most, 0);
  values.forEach((x, at) => {
    const y = got.values[at] as number;
    const isNear = Object.is(x, y) || Math.abs(x - y) <= relative * scale;
    assert.ok(isNear, `${what}, element ${at}: got ${y}, must be ${x} (the largest is ${scale})`);
  });
}
