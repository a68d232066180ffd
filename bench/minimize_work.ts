/**
 * The losses that minimize.ts measures, for both sides: as bodies of `POST …/minimize` and as work for the rival. The
 * measuring itself is in minimize.ts.
 */
import { gradientValues } from "./data.ts";
import { batch, type LossWork, networkLoss, seedLoss } from "./rivals/tfjs_loss.ts";

/** Encodes a body as JSON. */
export const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

export interface Work {
  /** The prefix of its runs' ids. */
  readonly id: string;
  readonly name: string;
  readonly rival: LossWork;
  /** The body of `POST …/minimize`. */
  readonly body: Readonly<Record<string, unknown>>;
}

const LEARNING_RATE = 0.001;

const tensor = (shape: readonly number[], seed: number) => ({
  shape,
  values: gradientValues(shape.reduce((count, n) => count * n, 1), seed),
});

/** The first example of Keras' page on optimizers. */
export function seedWork(): Work {
  const scalar = (value: number) => ({ shape: [], values: Float32Array.of(value) });
  return {
    id: "seed",
    name: "3 var1² + 2 var2²",
    rival: { variables: { var1: scalar(2), var2: scalar(5) }, learningRate: LEARNING_RATE, loss: seedLoss },
    body: { loss: "3 * var1 * var1 + 2 * var2 * var2", var_list: ["var1", "var2"] },
  };
}

const [ROWS, FEATURES, HIDDEN, CLASSES] = [32, 64, 48, 10] as const;

/** A batch of the network that classifies digits. */
export function networkWork(): Work {
  const x = gradientValues(ROWS * FEATURES, 5),
    labels = Int32Array.from({ length: ROWS }, (_, i) => i % CLASSES);
  const base64 = ({ buffer }: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>) =>
    new Uint8Array(buffer).toBase64();
  return {
    id: "network",
    name: `network ${FEATURES}-${HIDDEN}-${CLASSES}, batch of ${ROWS}`,
    rival: {
      variables: {
        kernel_1: tensor([FEATURES, HIDDEN], 1),
        bias_1: tensor([HIDDEN], 2),
        kernel_2: tensor([HIDDEN, CLASSES], 3),
        bias_2: tensor([CLASSES], 4),
      },
      learningRate: LEARNING_RATE,
      loss: networkLoss(batch({ x, labels, features: FEATURES, classes: CLASSES })),
    },
    body: {
      loss: "logits = relu(x @ kernel_1 + bias_1) @ kernel_2 + bias_2; " +
        "sparse_categorical_crossentropy(labels, logits, from_logits=true)",
      inputs: {
        x: { dtype: "float32", shape: [ROWS, FEATURES], base64: base64(x) },
        labels: { dtype: "int32", shape: [ROWS], base64: base64(labels) },
      },
    },
  };
}

const SIDE = 256;

/** A loss that keeps a worker busy for long, with a short request and a short response. */
export const HEAVY = {
  variables: [{ name: "w", shape: [SIDE, SIDE], initial: 0.001 }],
  body: { loss: "mean(w @ w @ w @ w @ w @ w @ w @ w)" },
} as const;
