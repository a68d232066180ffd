/**
 * Operations in the functional models of Keras 3: what `x / 2.0` or `-x` writes into the model. Add, Subtract,
 * Multiply, Maximum and Minimum are layers too (merging.ts), and an operation of these names does the same.
 */
import { MisfitError } from "../functions/define.ts";
import { inputOf, layer, type LayerCall } from "./layer.ts";

const between = (className: string, does: string, name: string) =>
  layer(className, {
    does: `An operation of Keras 3: ${does}`,
    several: true,
    config: {},
    build: (call: LayerCall) => {
      const { length } = call.inputs;
      if (length !== 2) throw new MisfitError(`it has ${length} inputs, must have two`);
      return call.call(name, call.inputs);
    },
  });

const of = (className: string, does: string, name: string) =>
  layer(className, {
    does: `An operation of Keras 3: ${does}`,
    config: {},
    build: (call: LayerCall) => call.call(name, [inputOf(call)]),
  });

/** Those that may have a number in place of one tensor. */
export const BETWEEN = [
  between("TrueDivide", "`a / b`.", "divide"),
  between("Divide", "`a / b`.", "divide"),
  between("Power", "`a ** b`.", "pow"),
];

export const OPERATIONS = [
  ...BETWEEN,
  of("Negative", "`-x`.", "negative"),
  of("Absolute", "`abs(x)`.", "abs"),
  of("Square", "`x * x`.", "square"),
  of("Sqrt", "the square root.", "sqrt"),
  of("Exp", "e to the x.", "exp"),
  of("Log", "the natural logarithm.", "log"),
];
