import assert from "node:assert/strict";
import type { Constraint } from "../../src/families/constraints/constraint.ts";
import { constraints } from "../../src/families/constraints/mod.ts";
import { runLines } from "./support/apply_rule.ts";
import { type Bound, decode, readGolden } from "./support/goldens.ts";

interface Alone {
  readonly name: string;
  readonly constraint: { readonly class_name: string };
  readonly shape: readonly number[];
  readonly input: string;
  readonly output: string;
  readonly bound: Bound;
}

const { alone } = readGolden<{ alone: Alone[] }>("constraints.json");

/** Applies a constraint according to its data. */
function constrain(
  { rule, uniforms }: Constraint,
  values: Float32Array,
  shape: readonly number[],
): Float32Array {
  if (rule.kind === "copy_rows") {
    const row = values.length / rule.sources.length;
    const copied = rule.sources.flatMap((source) => [...values.subarray(source * row, (source + 1) * row)]);
    return Float32Array.from(copied);
  }
  const uniforms32 = Object.fromEntries(
    Object.entries(uniforms).map(([key, value]) => [key, Math.fround(value)]),
  );
  if (rule.kind === "elementwise") {
    const w = values.slice();
    runLines(rule.lines, { tensors: { w }, scalars: uniforms32, places: [...w.keys()] });
    return w;
  }
  const groups = new Map<string, number[]>();
  values.forEach((_, place) => {
    let rest = place;
    const position = shape.map((_, axis) => {
      const step = shape.slice(axis + 1).reduce((product, n) => product * n, 1);
      const at = Math.floor(rest / step);
      rest -= at * step;
      return rule.axis === null || rule.axis.includes(axis) ? "*" : at;
    });
    const key = position.join();
    groups.set(key, [...groups.get(key) ?? [], place]);
  });
  const result = values.slice();
  for (const places of groups.values()) {
    const squares = Math.fround(places.reduce((sum, place) => sum + (values[place] as number) ** 2, 0));
    const scalars: Record<string, number> = { ...uniforms32, norm: Math.fround(Math.sqrt(squares)) };
    runLines(rule.factor, { tensors: {}, scalars, places: [] });
    const factor = scalars["factor"] as number;
    for (const place of places) {
      const w = values[place] as number;
      result[place] = rule.apply === "multiply" ? w * factor : w / factor;
    }
  }
  return result;
}

for (const class_name of new Set(alone.map(({ constraint }) => constraint.class_name))) {
  Deno.test(`rule() gives Keras' values when the constraint is ${class_name}`, () => {
    for (const { name, constraint, shape, input, output, bound } of alone) {
      if (constraint.class_name !== class_name) continue;
      const { member, config } = constraints.resolve(constraint);
      const got = constrain(member.rule(config, shape, ""), decode(input), shape);
      const want = decode(output);
      const scale = Math.max(0, ...[...want].map(Math.abs).filter(Number.isFinite));
      want.forEach((value, at) => {
        const close = Math.abs((got[at] as number) - value) <= (bound.relative ?? 0) * scale;
        assert(Object.is(got[at], value) || close, `${name} [${at}]: ${got[at]}, must be ${value}`);
      });
    }
  });
}

Deno.test("the tests cover every constraint", () => {
  const tried = new Set(alone.map(({ constraint }) => constraint.class_name));
  // Keras has no Formula; formulas_test.ts tests it.
  const others = constraints.members.map(({ class_name }) => class_name).filter((name) => name !== "Formula");
  assert.deepEqual(tried, new Set(others));
});

Deno.test("rule() counts negative axes from the last and sorts them", () => {
  const axesOf = (axis: unknown) => {
    const { member, config } = constraints.resolve({ class_name: "UnitNorm", config: { axis } });
    const { rule } = member.rule(config, [2, 3, 4], "");
    return rule.kind === "axis_norm" ? rule.axis : undefined;
  };
  assert.deepEqual(axesOf(-1), [2]);
  assert.deepEqual(axesOf([2, -3]), [0, 2]);
  assert.equal(axesOf(null), null);
});

Deno.test("rule() refuses missing and repeated axes, and says where", () => {
  for (const axis of [3, -4, [0, 0], [0, -3]]) {
    const { member, config } = constraints.resolve({ class_name: "MaxNorm", config: { axis } });
    assert.throws(() => member.rule(config, [2, 3, 4], "variables.1.constraint"), {
      code: "invalid_config",
      issues: [{
        path: "variables.1.constraint.config.axis",
        message: `is ${JSON.stringify(axis)}, must be different axes of the shape [2, 3, 4]`,
      }],
    });
  }
});
