/** Generators of random formulas over `w g m v` and the uniforms `a b c T`. */
import fc from "fast-check";

const expression = fc.letrec((tie) => ({
  node: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom("w", "g", "m", "v", "a", "b", "c", "T", "0.5", "3", "1e-7"),
    fc.tuple(tie("node"), fc.constantFrom("+", "-", "*", "/"), tie("node")).map(([x, op, y]) =>
      `(${x} ${op} ${y})`
    ),
    fc.tuple(
      fc.constantFrom("sqrt", "abs", "sign", "exp", "log", "cos", "floor", "ceil", "round", "-"),
      tie("node"),
    )
      .map(([f, x]) => `${f}(${x})`),
    fc.tuple(fc.constantFrom("min", "max", "mod"), tie("node"), tie("node")).map(([f, x, y]) =>
      `${f}(${x}, ${y})`
    ),
    fc.tuple(tie("node"), tie("node"), tie("node")).map(([x, low, high]) => `clamp(${x}, ${low}, ${high})`),
    fc.tuple(
      tie("node"),
      fc.constantFrom("<", "<=", "==", "!=", ">", ">="),
      tie("node"),
      tie("node"),
      tie("node"),
    )
      .map(([x, op, y, a, b]) => `where(${x} ${op} ${y}, ${a}, ${b})`),
    fc.tuple(fc.constantFrom("norm", "sum", "mean", "squares", "peak", "count"), tie("node")).map(([f, x]) =>
      `${f}(${x} + w * 0)`
    ),
    fc.tuple(tie("node"), fc.constantFrom("2", "0.5", "-1")).map(([x, p]) => `(${x} ^ ${p})`),
  ) as fc.Arbitrary<string>,
})).node as fc.Arbitrary<string>;

/** Three lines that assign all stored tensors, one after the other. */
export const rules: fc.Arbitrary<string[]> = fc.tuple(expression, expression, expression)
  .map(([x, y, z]) => [`m = ${x}`, `v = ${y}`, `w = ${z}`]);
