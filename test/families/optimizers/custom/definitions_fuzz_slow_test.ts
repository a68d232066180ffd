/**
 * Random definitions: well-formed ones are the same compiled and interpreted, malformed ones are refused in bounded
 * words. `deno task test:formulas [--inputs=N] [--seed=N]` for many; without arguments as many as fit into a test run.
 */
import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import fc from "fast-check";
import { StepwellError } from "../../../../src/errors.ts";
import { LINES_MAX } from "../../../../src/families/mechanism/user_formula.ts";
import { readDefinition } from "../../../../src/families/optimizers/custom/custom_member.ts";
import { schedules } from "../../../../src/families/schedules/mod.ts";
import { transformers } from "../../../../src/families/transformers/mod.ts";
import { Memory } from "../../../../src/run/tensors/memory.ts";
import { tryOut } from "../../../../src/run/registry/trial.ts";
import { rules } from "../../../kernels/support/arbitrary.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: { inputs: { type: "string", default: "2000" }, seed: { type: "string" } },
  allowPositionals: true,
});
const inputs = Number(values.inputs);
const seed = Number(values.seed ?? crypto.getRandomValues(new Int32Array(1))[0]);
console.log(`seed ${seed}: --seed=${seed} makes the same inputs again`);
const runs = (numRuns: number) => ({ numRuns, seed });

/** Characters of a refusal as JSON, whatever was sent. */
const ANSWER_LENGTH_MAX = 500_000;

function refusalOf(act: () => unknown): StepwellError | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    assert(error instanceof StepwellError, `${error} (seed ${seed})`);
    assert(JSON.stringify([error.message, error.issues]).length < ANSWER_LENGTH_MAX, error.code);
    return error;
  }
}

const SHELL = {
  class_name: "Random",
  hyperparameters: { a: { default: 0.5 }, b: { default: -1.5 }, c: { default: 0.01 } },
  slots: { m: { initial: 0 }, v: { initial: 0.1 } },
};
/** Uses every name, so that none is idle. */
const USE_ALL = "w = w + 0 * (m + v + a + b + c)";

Deno.test("well-formed definitions do the same compiled and interpreted", () => {
  const memory = new Memory({ bytesMax: 2 ** 28 });
  let tried = 0;
  fc.assert(
    fc.property(rules, rules, fc.boolean(), (dense, rows, scatter) => {
      const all = ["m = m * a", "v = v * b"];
      const sparse = { all, rows: [...rows, USE_ALL], scatter };
      const json = { ...SHELL, dense: [...dense, USE_ALL], sparse };
      // Long random expressions may ask for too much: that is a refusal like any other.
      if (refusalOf(() => readDefinition(json))) return;
      tried += 1;
      tryOut(readDefinition(json), memory);
      assert.equal(memory.figures().usedBytes, 0);
    }),
    runs(Math.ceil(inputs / 20)),
  );
  assert(tried > inputs / 100, `Only ${tried} were tried (seed ${seed})`);
});

/** Pieces of the language and of what is not, in any order. */
const piece = fc.oneof(
  fc.constantFrom(
    "w",
    "g",
    "m",
    "a",
    "t",
    "T",
    "x",
    "=",
    "+",
    "-",
    "*",
    "/",
    "^",
    "(",
    ")",
    ",",
    "<",
    "==",
    " ",
  ),
  fc.constantFrom(
    "sqrt(",
    "norm(",
    "where(",
    "clamp(",
    "min(",
    "((((((((",
    "--------",
    "1e999",
    "1e-999",
    ".",
    "0x1",
  ),
  fc.constantFrom(
    "constructor",
    "__proto__",
    "toString",
    "hasOwnProperty",
    "\n",
    "\0",
    "ÿ",
    "💥",
    '"',
    "`${",
    "//",
  ),
  fc.string({ unit: "binary" }),
  fc.double().map(String),
);
const junk = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(""));
/** Begins like a line, so that more than its first character is read. */
const line = fc.oneof(junk, junk.map((text) => `w = ${text}`), junk.map((text) => `w = g ${text}`));
const lines = fc.array(line, { maxLength: LINES_MAX + 1 });

Deno.test("malformed formulas are refused, and nothing else happens", () => {
  fc.assert(
    fc.property(
      fc.oneof({ weight: 9, arbitrary: fc.array(line, { maxLength: 3 }) }, { weight: 1, arbitrary: lines }),
      (dense) => {
        const code = refusalOf(() =>
          readDefinition({ ...SHELL, dense: [USE_ALL, ...dense, "m = m", "v = v"] })
        )?.code;
        assert(code === undefined || code === "invalid_definition", code);
      },
    ),
    runs(inputs),
  );
});

Deno.test("malformed definitions are refused, and nothing else happens", () => {
  const key = fc.oneof(
    fc.constantFrom(
      "class_name",
      "hyperparameters",
      "slots",
      "state",
      "scalars",
      "dense",
      "sparse",
      "default",
      "initial",
    ),
    fc.constantFrom("__proto__", "constructor", "rows", "all", "a", "w"),
    fc.string(),
  );
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.dictionary(key, fc.jsonValue({ maxDepth: 2 })),
    lines,
  );
  fc.assert(
    fc.property(fc.dictionary(key, value), fc.boolean(), (change, isWhole) => {
      const code = refusalOf(() =>
        readDefinition(isWhole ? change : { ...SHELL, dense: [USE_ALL], ...change })
      )?.code;
      assert(code === undefined || code === "invalid_definition", code);
    }),
    runs(inputs),
  );
});

Deno.test("malformed formulas of schedules and transformers are refused, and nothing else happens", () => {
  fc.assert(
    fc.property(junk, lines, (expression, text) => {
      const codes = [
        refusalOf(() => schedules.resolve({ class_name: "Formula", config: { expression } }))?.code,
        refusalOf(() => transformers.resolve({ class_name: "Formula", config: { lines: text } }))?.code,
      ];
      for (const code of codes) assert(code === undefined || code === "invalid_config", code);
    }),
    runs(Math.ceil(inputs / 4)),
  );
});

Deno.test("text at every bound is read or refused", () => {
  const deep = `w = ${"(".repeat(990)}g${")".repeat(990)}`;
  const chained = `w = ${"g+".repeat(990)}g`;
  const powers = `w = ${"g^".repeat(990)}g`;
  const negative = `w = ${"-".repeat(1900)}g`;
  const nested = `w = ${"exp(".repeat(390)}g${")".repeat(390)}`;
  for (
    const text of [deep, chained, powers, negative, nested, `w = ${"x".repeat(1990)}`, "w = g".padEnd(2001)]
  ) {
    for (const dense of [[text], new Array(LINES_MAX).fill(text)]) {
      assert.equal(
        refusalOf(() => readDefinition({ class_name: "Bound", dense }))?.code,
        dense.length === 1 && text === chained ? undefined : "invalid_definition",
      );
    }
  }
});
