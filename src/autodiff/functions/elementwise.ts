/** Functions of elements. */
import { broadcast, define, elementwise, number, type Tensor, type Tf } from "./define.ts";

const unary = (name: string, does: string, apply: (tf: Tf, x: Tensor) => Tensor) =>
  elementwise(name, ["x"], does, apply);
const binary = (name: string, does: string, apply: (tf: Tf, a: Tensor, b: Tensor) => Tensor) =>
  elementwise(name, ["a", "b"], does, apply);
const comparison = (name: string, symbol: string, apply: (tf: Tf, a: Tensor, b: Tensor) => Tensor) =>
  elementwise(
    name,
    ["a", "b"],
    `\`a ${symbol} b\`: 1 where it is so, else 0.`,
    (tf, a, b) => tf.cast(apply(tf, a, b), "float32"),
    "stops",
  );

export const ELEMENTWISE = [
  binary("add", "`a + b`.", (tf, a, b) => tf.add(a, b)),
  binary("subtract", "`a - b`.", (tf, a, b) => tf.sub(a, b)),
  binary("multiply", "`a * b`.", (tf, a, b) => tf.mul(a, b)),
  binary("divide", "`a / b`.", (tf, a, b) => tf.div(a, b)),
  binary("pow", "`a ^ b`.", (tf, a, b) => tf.pow(a, b)),
  binary("maximum", "The larger of both.", (tf, a, b) => tf.maximum(...together(tf, a, b))),
  binary("minimum", "The smaller of both.", (tf, a, b) => tf.minimum(...together(tf, a, b))),
  comparison("less", "<", (tf, a, b) => tf.less(a, b)),
  comparison("less_equal", "<=", (tf, a, b) => tf.lessEqual(a, b)),
  comparison("greater", ">", (tf, a, b) => tf.greater(a, b)),
  comparison("greater_equal", ">=", (tf, a, b) => tf.greaterEqual(a, b)),
  comparison("equal", "==", (tf, a, b) => tf.equal(a, b)),
  comparison("not_equal", "!=", (tf, a, b) => tf.notEqual(a, b)),
  unary("negative", "`-x`.", (tf, x) => tf.neg(x)),
  // tfjs gives |x| the slope -1 at 0.
  unary("abs", "The absolute value; its gradient is 0 at 0.", (tf, x) => tf.mul(x, tf.sign(x))),
  unary("sign", "-1, 0 or 1; its gradient is 0.", (tf, x) => tf.sign(x)),
  unary("square", "`x * x`.", (tf, x) => tf.square(x)),
  unary("sqrt", "The square root.", (tf, x) => tf.sqrt(x)),
  unary("rsqrt", "`1 / sqrt(x)`.", (tf, x) => tf.rsqrt(x)),
  unary("exp", "e to the x.", (tf, x) => tf.exp(x)),
  unary("expm1", "`exp(x) - 1`, exact near 0.", (tf, x) => tf.expm1(x)),
  unary("log", "The natural logarithm.", (tf, x) => tf.log(x)),
  unary("log1p", "`log(1 + x)`, exact near 0.", (tf, x) => tf.log1p(x)),
  unary("sin", "The sine.", (tf, x) => tf.sin(x)),
  unary("cos", "The cosine.", (tf, x) => tf.cos(x)),
  unary("tanh", "The hyperbolic tangent.", (tf, x) => tf.tanh(x)),
  unary("sigmoid", "`1 / (1 + exp(-x))`.", (tf, x) => tf.sigmoid(x)),
  unary("softplus", "`log(1 + exp(x))`.", (tf, x) => tf.softplus(x)),
  define("clip", {
    tensors: ["x"],
    options: { low: number(), high: number() },
    does: "`x`, but at least `low` and at most `high`.",
    shape: ([x]) => x,
    apply: (tf, [x], { low, high }) => tf.clipByValue(x, low, high),
  }),
  define("where", {
    tensors: ["condition", "a", "b"],
    does: "`a` where the condition is not 0, else `b`.",
    shape: ([condition, a, b]) => broadcast(condition, broadcast(a, b)),
    apply: (tf, [condition, a, b]) => tf.where(tf.notEqual(detach(tf, condition), 0), a, b),
  }),
  elementwise(
    "stop_gradient",
    ["x"],
    "`x` itself.",
    (tf, x) => tf.clone(x),
    "stops",
  ),
];

/** Both in the shape that they broadcast to, where tfjs' gradient does not add up over the dimensions that did. */
function together(tf: Tf, a: Tensor, b: Tensor): [Tensor, Tensor] {
  const shape = [...broadcast(a.shape, b.shape)];
  return [tf.broadcastTo(a, shape), tf.broadcastTo(b, shape)];
}

/** The same values, of which the tape knows nothing. */
export function detach(tf: Tf, x: Tensor): Tensor {
  return tf.tensor(x.dataSync(), x.shape, x.dtype);
}
