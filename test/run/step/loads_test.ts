/** Costly lines that users write get kernels of their own, so that their costs add up and do not multiply. */
import assert from "node:assert/strict";
import { runCompiled, runInterpreted, type Runner } from "../../../kernels/compiler/runner.ts";
import { newRegistry, refusalAsync, step, variablesOf } from "../support/harness.ts";

const formula = (lines: readonly string[]) => ({ class_name: "Formula", config: { lines } });
/** Eight nested reductions, after which the greatest element of g is 0.5. */
const heavy = (name: "g" | "w", also = "") =>
  formula([
    ...Array.from({ length: 8 }, (_, n) => `${name} = ${name} / peak(${name}) * ${2 ** n}`),
    `${name} = ${name} / 256${also}`,
  ]);
const LIGHT = formula(["g = g / peak(g)"]);

/** A runner that records the count of passes of each call. */
function counting(runner: Runner): { readonly runner: Runner; readonly passes: number[] } {
  const passes: number[] = [];
  return {
    passes,
    runner: (arena, call) => {
      passes.push(call.kernel.passes.length);
      return runner(arena, call);
    },
  };
}

async function after(
  spec: { gradient_transformers?: readonly unknown[]; constraint?: unknown; optimizer?: string },
  gradient: unknown,
) {
  const results = [];
  for (const each of [runCompiled, runInterpreted]) {
    const { runner, passes } = counting(each);
    const { constraint, gradient_transformers = [], optimizer = "Plain" } = spec;
    const registry = newRegistry({ runner });
    await registry.optimizers.register({ class_name: "Plain", dense: ["w = w - g"] });
    // Sixteen exponentials that do not change w - g.
    const long = [
      "z = g",
      ...Array.from({ length: 16 }, () => "z = exp(min(z, 0)) * 0"),
      "w = w - g + 0 * z",
    ];
    await registry.optimizers.register({ class_name: "Long", dense: long });
    passes.length = 0;
    const session = await registry.create({
      optimizer,
      gradient_transformers: gradient_transformers as never,
      variables: [{
        name: "w",
        shape: [3, 1],
        initial: [[8], [8], [8]],
        ...constraint !== undefined && { constraint: constraint as never },
      }],
    });
    step(session, { w: gradient });
    results.push({ w: variablesOf(session)["w"], passes: [...passes] });
  }
  const [compiled, interpreted] = results;
  assert.deepEqual(compiled, interpreted);
  return compiled as { w: number[]; passes: number[] };
}

Deno.test("transformers with many reductions have kernels of their own", async () => {
  const { w, passes } = await after({ gradient_transformers: [heavy("g"), heavy("g"), LIGHT] }, [[4], [2], [
    -1,
  ]]);
  assert.deepEqual(w, [7, 7.5, 8.25]);
  assert.deepEqual(passes, [9, 9, 2]);
});

Deno.test("a few short transformers share the kernel of the rule", async () => {
  const { w, passes } = await after({ gradient_transformers: [LIGHT, LIGHT, LIGHT] }, [[4], [2], [-1]]);
  assert.deepEqual(w, [7, 7.5, 8.25]);
  assert.deepEqual(passes, [4]);
});

Deno.test("many short transformers share kernels in small groups", async () => {
  const { w, passes } = await after(
    { gradient_transformers: Array.from({ length: 10 }, () => LIGHT) },
    [[4], [2], [-1]],
  );
  assert.deepEqual(w, [7, 7.5, 8.25]);
  assert.deepEqual(passes, [5, 5, 3]);
});

Deno.test("transformers of sparse gradients that name the variable have kernels of their own, too", async () => {
  const transformers = [heavy("g", " + 0 * w"), heavy("g"), LIGHT];
  const { w, passes } = await after(
    { gradient_transformers: transformers },
    { indices: [2, 0, 2], values: [[1], [2], [3]] },
  );
  assert.deepEqual(w, [7.5, 8, 7]);
  // The last two kernels are those of the third transformer and of the rule; before them repeated rows are added up.
  assert.deepEqual(passes, [1, 9, 9, 2, 1]);
});

Deno.test("a constraint that is costly, or follows a costly rule, has a kernel of its own", async () => {
  const gradient = [[0], [4], [-8]];
  const light = formula(["w = w / peak(w)"]);
  assert.deepEqual(await after({ constraint: light }, gradient), { w: [0.5, 0.25, 1], passes: [2] });
  assert.deepEqual(
    await after({ constraint: light, optimizer: "Long" }, gradient),
    { w: [0.5, 0.25, 1], passes: [1, 2] },
  );
  assert.deepEqual(await after({ constraint: heavy("w") }, gradient), {
    w: [0.25, 0.125, 0.5],
    passes: [1, 9],
  });
  const clamp = formula(["w = clamp(w, 0, 10)"]);
  assert.deepEqual(await after({ constraint: clamp, optimizer: "Long" }, gradient), {
    w: [8, 4, 10],
    passes: [1],
  });
});

Deno.test("the load of all transformers together is bounded like that of one", async () => {
  const powers = (count: number) =>
    formula(["a = abs(g)", ...Array.from({ length: count }, () => "a = a ^ 1.5"), "g = a"]);
  const create = (...transformers: unknown[]) =>
    newRegistry().create({
      optimizer: "SGD",
      gradient_transformers: transformers as never,
      variables: [{ name: "w", shape: [3] }],
    });
  await create(powers(8), LIGHT, powers(8));
  const { code, issues } = await refusalAsync(() => create(powers(8), LIGHT, powers(8), powers(1)));
  assert.equal(code, "invalid_config");
  assert.equal(issues[0]?.path, "gradient_transformers.3");
  assert.match(issues[0]?.message ?? "", /^makes it 17 powers, .* in all lines together, at most 16$/);
});
