/** The loss language: what is read, what is refused and where, and that nothing hostile is followed. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { NESTING_MAX } from "../../../kernels/language/syntax.ts";
import { evaluate } from "../../../src/autodiff/worker/evaluate.ts";
import { compileLoss } from "../../../src/autodiff/graph/compile_loss.ts";
import { FUNCTIONS } from "../../../src/autodiff/functions/mod.ts";
import { CHARACTERS_MAX } from "../../../src/autodiff/graph/loss_syntax.ts";
import { loadTfjs } from "../../../src/autodiff/worker/tfjs.ts";
import { StepwellError } from "../../../src/errors.ts";
import { elementCount, type Shape } from "../../../src/tensor.ts";

const SHAPES: ReadonlyMap<string, Shape> = new Map<string, Shape>([
  ["a", []],
  ["v", [3]],
  ["m", [2, 3]],
  ["cube", [2, 4, 3]],
  ["images", [1, 4, 5, 2]],
  ["dense/kernel", [3, 2]],
  ["it's", []],
]);
const INPUTS: ReadonlyMap<string, Shape> = new Map<string, Shape>([["x", [2, 3]], ["i", [2]]]);
const scope = { variables: SHAPES, inputs: INPUTS, elementsMax: 10_000 };
const compile = (text: string) => compileLoss(text, scope);

const tf = await loadTfjs();

function valueOf(text: string): number[] {
  const graph = compile(text);
  const tensors = (shapes: ReadonlyMap<string, Shape>) =>
    [...shapes].map(([name, shape]) => ({
      name,
      shape,
      values: Float32Array.from({ length: elementCount(shape) }, (_, at) => name === "i" ? at : at + 2),
    }));
  const job = { graph, variables: tensors(SHAPES), inputs: tensors(INPUTS), watched: [], iteration: 0 };
  return [...evaluate(tf, job).loss.values];
}

for (
  const [text, wanted] of [
    ["2 + 3 * 4", 14],
    ["2 - 3 - 4", -5],
    ["2 ^ 3 ^ 2", 512],
    ["-2 ^ 2", -4],
    ["2 ^ -1", 0.5],
    ["-a", -2],
    ["8 / 2 / 2", 2],
    ["(2 + 3) * 4", 20],
    ["1 < 2", 1],
    ["1 + 1 >= 3", 0],
    ["1.5e1 + .5 + 2.", 17.5],
    ["b = a * a; c = b + 1; c * c", 25],
    ["b = 1;\n b ;", 1],
    ["sum(v)", 9],
    ["sum(m, axis=[0, 1])", 27],
    ["sum(m, none)", 27],
    [`"it's" + a`, 4],
    ["sum('dense/kernel')", 27],
    ["sum(v @ 'dense/kernel')", 89],
    ["sum ( m ,keepdims = true )", 27],
  ] as const
) {
  Deno.test(`compileLoss() reads ${JSON.stringify(text)} as ${wanted}`, () =>
    assert.deepEqual(valueOf(text), [wanted]));
}

const REFUSED: readonly (readonly [string, RegExp])[] = [
  ["", /expected a value, found the end \(line 1, column 1\)/],
  ["a +", /expected a value, found the end \(line 1, column 4\)/],
  ["a a", /expected an operator, found "a" \(line 1, column 3\)/],
  ["a +\n  * v", /expected a value, found "\*" \(line 2, column 3\)/],
  ["(a", /expected "\)", found the end/],
  ["sum(a", /expected "," or "\)", found the end/],
  ["[a, v", /expected "," or "\]"/],
  ["[a]", /expected a tensor, found a list/],
  ["a $ v", /expected an operator, found "\$" \(line 1, column 3\)/],
  ["a + $", /expected a value, found "\$" \(line 1, column 5\)/],
  ["a && v", /expected an operator, found "&"/],
  ["'a", /expected a value, found an unclosed quote \(line 1, column 1\)/],
  ["'a\nb'", /expected a value, found an unclosed quote/],
  ["a\n 'dense/kernel'", /expected an operator, found 'dense\/kernel' \(line 2, column 2\)/],
  ["a +\n\n", /expected a value, found the end \(line 1, column 4\)/],
  ["a.constructor", /expected an operator, found "\."/],
  ["constructor", /"constructor" is unknown, must be one of x, i, a, v, m/],
  ["__proto__", /"__proto__" is unknown/],
  ["'nope'", /"nope" is unknown/],
  ["constructor(a)", /there is no function "constructor"/],
  ["eval(a)", /there is no function "eval" \(line 1, column 1\)/],
  ["b = a", /expected ";" and then the loss itself, found the end/],
  ["b = a;", /expected ";" and then the loss itself/],
  ["a; v", /this expression has no name, must be NAME = … before a ";"/],
  ["a = 1; a", /cannot assign to "a": it is a variable/],
  ["x = 1; x", /cannot assign to "x": it is an input/],
  ["b = 1; b = 2; b", /cannot assign to "b" twice \(line 1, column 8\)/],
  ["b + 1; b = 2; b", /this expression has no name/],
  ["c = b; b = 1; c", /"b" is unknown/],
  ["m + cube", /add: the shapes \[2, 3\] and \[2, 4, 3\] do not broadcast \(line 1, column 3\)/],
  [
    "m @ m",
    /matmul: the shapes \[2, 3\] and \[2, 3\] do not fit: 3 columns of the first, 2 rows of the second/,
  ],
  ["a @ v", /matmul: takes no scalars/],
  ["matmul(m)", /matmul takes 2 tensors \(a, b\), found 1/],
  ["sum()", /sum takes 1 tensor \(x\), found 0/],
  ["sum(m, 0, true, 1)", /sum has an argument too many: it takes axis, keepdims/],
  ["exp(a, 1)", /exp has an argument too many: it takes no options/],
  ["sum(m, axes=0)", /sum has no option "axes": it takes axis, keepdims/],
  ["sum(m, toString=0)", /sum has no option "toString"/],
  ["sum(m, 0, axis=1)", /sum is given axis twice/],
  ["sum(m, axis=0, 1)", /expected NAME=VALUE after another NAME=VALUE/],
  ["sum(m, axis=a)", /axis must be an axis, a list of axes or none/],
  ["sum(m, axis=0.5)", /axis must be/],
  ["sum(m, axis=1 + 1)", /expected a literal, found an expression/],
  ["sum(m, axis=2)", /axis 2 is not one of a tensor of 2 dimensions/],
  ["sum(m, keepdims=1)", /keepdims must be true or false/],
  ["reshape(m)", /reshape needs shape: a list of integers/],
  ["reshape(m, [4])", /cannot make \[4\] of \[2, 3\]/],
  ["reshape(m, [-1, -1])", /cannot make \[-1, -1\] of \[2, 3\]/],
  ["reshape(m, [-6])", /cannot make/],
  ["transpose(m, [0, 0])", /must name each of 2 axes once/],
  ["concat(m, v)", /concat takes a list of tensors, as concat\(\[a, b\]\)/],
  ["concat([])", /concat takes a list of tensors/],
  ["concat([m, v])", /\[3\] does not fit \[2, 3\]/],
  ["stack([a, v])", /\[3\] is not \[\]/],
  ["slice(v, [2], [2])", /cannot take 2 from 2 of axis 0, which is 3 long/],
  ["squeeze(m, [0])", /axis 0 of \[2, 3\] is not 1 long/],
  ["tile(m, [1])", /reps is \[1\], must have a number from 0 for each axis of \[2, 3\]/],
  ["pad(m, [0, 0], [0, -1])", /after is \[0, -1\]/],
  ["one_hot(i, 0)", /depth is 0, must be 1 or more/],
  ["gather(a, i)", /axis 0 is not one of a tensor of 0 dimensions/],
  ["conv2d(m, m)", /the kernel has shape \[2, 3\], must have 4 dimensions/],
  ["max_pool2d(images, [5, 1])", /a window of 5 does not fit into 4/],
  ["max_pool2d(images, [0, 1])", /size must be a positive integer or two of them/],
  ["conv2d(images, images, padding=full)", /padding must be valid or same/],
  ["mean_squared_error(v, m)", /the targets have shape \[3\], must have \[2, 3\]/],
  ["sparse_categorical_crossentropy(v, m)", /the targets have shape \[3\], must have \[2\]/],
  ["mean(slice(v, [0], [0]))", /slice: a tensor of shape \[0\] has no elements/],
  ["sum(tile(v, [0]))", /tile: a tensor of shape \[0\] has no elements/],
  ["reshape(cube, [1, 1, 1, 2, 4, 3, 1])", /has more than 6 dimensions/],
  [`${"(".repeat(NESTING_MAX + 1)}a`, /cannot nest deeper than 64/],
  [`${"-".repeat(2 * NESTING_MAX)}a`, /cannot nest deeper than 64/],
  [`a${"^a".repeat(NESTING_MAX)}`, /cannot nest deeper than 64/],
  [`a${"+a".repeat(1000)}`, /cannot follow more than 1000 operations in one \(line 1, column 2000\)/],
  [`${"(".repeat(8)}a${`${"+a".repeat(900)})`.repeat(8)}`, /cannot follow more than 1000 operations/],
  [" ".repeat(CHARACTERS_MAX + 1), /has 16385 characters, must have at most 16384/],
];

for (const [text, pattern] of REFUSED) {
  Deno.test(`compileLoss() refuses ${JSON.stringify(text.slice(0, 60))}`, () => {
    assert.throws(() => compile(text), (error: unknown) => {
      assert.ok(error instanceof StepwellError, String(error));
      assert.equal(error.code, "invalid_loss");
      assert.match(error.message, pattern);
      assert.equal(error.issues[0]?.path, "loss");
      return true;
    });
  });
}

let names = 0;
for (
  const [what, text, pattern] of [
    [
      "too many operations",
      `b = a${"+a".repeat(900)};`.repeat(5).replaceAll(/b/g, () => `b${names++}`) + "a",
      /has more than 4000 operations/,
    ],
    ["too many numbers", "tile(v, [4000])", /have 12\d\d\d numbers or more, must have at most 10000/],
    ["numbers beyond counting", "tile(v, [9007199254740991])", /must have at most 10000/],
    [
      "many tensors that are large together",
      Array(12).fill("tile(v, [300])").join("+"),
      /must have at most 10000/,
    ],
    ["a wide one-hot", "one_hot(i, 1000000000)", /must have at most 10000/],
    [
      "an outer sum",
      "reshape(tile(v, [60]), [180, 1]) + reshape(tile(v, [60]), [1, 180])",
      /must have at most 10000/,
    ],
  ] as const
) {
  Deno.test(`compileLoss() refuses ${what} before anything is computed`, () => {
    assert.throws(() => compile(text), (error: unknown) => {
      assert.ok(error instanceof StepwellError, String(error));
      assert.equal(error.code, "loss_too_large");
      assert.match(error.message, pattern);
      return true;
    });
  });
}

Deno.test("compileLoss() refuses what it cannot take with an error of the catalogue, whatever the text", () => {
  const words = [...FUNCTIONS.keys(), ...SHAPES.keys(), ..."xi", "axis", "true", "none", "same"];
  const symbols = [..."+-*/^@()[],;=<>'\"\n ", "<=", "==", "1", "0.5", "-1", "1e9", "2e400"];
  const token = fc.oneof(fc.constantFrom(...words), fc.constantFrom(...symbols), fc.string({ maxLength: 3 }));
  const text = fc.array(token, { maxLength: 40 }).map((tokens) => tokens.join(""));
  fc.assert(
    fc.property(fc.oneof(text, fc.string({ maxLength: 200 })), (text) => {
      try {
        compile(text);
      } catch (error) {
        assert.ok(error instanceof StepwellError, String(error));
        assert.ok(["invalid_loss", "loss_too_large"].includes(error.code));
      }
    }),
    { numRuns: Number(Deno.env.get("LOSS_TEXTS") ?? 5000) },
  );
});

/** Well-formed calls of every function that takes tensors of any shape, nested. */
const { expression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom("a", "v", "m", "x", "cube", "2", "0.5", "'dense/kernel'"),
    fc.tuple(
      fc.constantFrom(
        ...[...FUNCTIONS.values()].filter(({ tensors, options }) =>
          tensors[0] !== "..." && Object.values(options).every(({ initial }) => initial !== undefined)
        ),
      ),
      fc.array(tie("expression"), { minLength: 3, maxLength: 3 }),
    ).map(([{ name, tensors }, args]) => `${name}(${args.slice(0, tensors.length).join(", ")})`),
    fc.array(tie("expression"), { minLength: 1, maxLength: 3 }).map((items) =>
      `concat([${items.join(", ")}])`
    ),
    fc.tuple(tie("expression"), fc.constantFrom("0", "-1", "none", "[0]"), fc.boolean()).map((
      [x, axis, keepdims],
    ) => `sum(${x}, ${axis}, ${keepdims})`),
  ),
}));

Deno.test("evaluate() gives each node the shape that compileLoss() has told, and leaves no tensor behind", () => {
  let evaluated = 0;
  fc.assert(
    fc.property(expression, (text) => {
      let graph;
      try {
        graph = compile(text);
      } catch (error) {
        assert.ok(error instanceof StepwellError, String(error));
        return;
      }
      const before = tf.memory().numTensors;
      // Every node as the loss, so that a wrong shape shows where it arises.
      const tensors = (shapes: ReadonlyMap<string, Shape>) =>
        [...shapes].map(([name, shape]) => ({
          name,
          shape,
          values: new Float32Array(elementCount(shape)).fill(0.5),
        }));
      for (let loss = 0; loss < graph.nodes.length; loss++) {
        const job = { variables: tensors(SHAPES), inputs: tensors(INPUTS), iteration: 0 };
        try {
          const watched = ["a", "v", "m", "cube"];
          const evaluation = evaluate(tf, { ...job, graph: { ...graph, loss }, watched });
          assert.deepEqual(evaluation.loss.shape, graph.nodes[loss]?.shape);
          for (const gradient of evaluation.gradients) {
            const whole = SHAPES.get(gradient.name) as Shape;
            const wanted = "indices" in gradient ? [gradient.indices.length, ...whole.slice(1)] : whole;
            assert.deepEqual(gradient.shape, wanted);
          }
          evaluated += 1;
        } catch (error) {
          // An index that is 0.5.
          assert.ok(
            error instanceof StepwellError && error.code === "index_out_of_range",
            `${text}: ${error}`,
          );
        }
      }
      assert.equal(tf.memory().numTensors, before);
    }),
    { numRuns: Number(Deno.env.get("LOSSES") ?? 500) },
  );
  assert.ok(evaluated > 300);
});
