/** A refused request leaves version, variables, slots and everything else as they were, bit for bit. */
import assert from "node:assert/strict";
import type { ErrorCode } from "../../../src/errors.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { newRegistry, refusal, setVariables, stateOf, step } from "../support/harness.ts";
import { gradientsOf, SHAPES, specOf, VARIANTS } from "../support/variants.ts";

interface Refusal {
  readonly what: string;
  readonly code: ErrorCode;
  readonly act: (session: Session) => unknown;
}

/** Valid gradients for all variables and then an invalid part: the valid ones must not be applied. */
const mixed = (wrong: Record<string, unknown>) => ({ ...gradientsOf(7), ...wrong });
const row = (indices: unknown, values: unknown) => ({ indices, values });
const five = [1, 2, 3, 4, 5];
const float64 = (values: number[]) => new Uint8Array(Float64Array.from(values).buffer).toBase64();

const REFUSALS: readonly Refusal[] = [
  { what: "an unknown variable", code: "unknown_variable", act: (s) => step(s, mixed({ other: 1 })) },
  { what: "another shape", code: "shape_mismatch", act: (s) => step(s, mixed({ matrix: [five] })) },
  { what: "another rank", code: "shape_mismatch", act: (s) => step(s, mixed({ scalar: [1] })) },
  { what: "ragged nesting", code: "shape_mismatch", act: (s) => step(s, mixed({ matrix: [five, [1]] })) },
  { what: "no number", code: "invalid_number", act: (s) => step(s, mixed({ scalar: "one" })) },
  { what: "a number beyond float32", code: "invalid_number", act: (s) => step(s, mixed({ scalar: 1e39 })) },
  {
    what: "an index too large",
    code: "index_out_of_range",
    act: (s) => step(s, mixed({ matrix: row([6], [five]) })),
  },
  {
    what: "a negative index",
    code: "index_out_of_range",
    act: (s) => step(s, mixed({ matrix: row([-1], [five]) })),
  },
  {
    what: "an index of an empty variable",
    code: "index_out_of_range",
    act: (s) => step(s, mixed({ none: row([0], [[1, 2, 3]]) })),
  },
  {
    what: "rows of another length",
    code: "shape_mismatch",
    act: (s) => step(s, mixed({ matrix: row([0], [[1, 2]]) })),
  },
  {
    what: "fewer rows than indices",
    code: "shape_mismatch",
    act: (s) => step(s, mixed({ matrix: row([0, 1], [five]) })),
  },
  { what: "rows of a scalar", code: "shape_mismatch", act: (s) => step(s, mixed({ scalar: row([0], [1]) })) },
  { what: "NaN", code: "non_finite_gradient", act: (s) => step(s, mixed({ scalar: "NaN" })) },
  {
    what: "infinity among rows",
    code: "non_finite_gradient",
    act: (s) => step(s, mixed({ matrix: row([1], [[1, 2, 3, 4, "Infinity"]]) })),
  },
  {
    what: "a float64 beyond float32",
    code: "non_finite_gradient",
    act: (s) => step(s, mixed({ scalar: { dtype: "float64", shape: [], base64: float64([-1e40]) } })),
  },
  { what: "no gradient", code: "no_gradients", act: (s) => step(s, {}) },
  { what: "null gradients", code: "no_gradients", act: (s) => step(s, { matrix: null, scalar: null }) },
  {
    what: "a base_iteration to come",
    code: "invalid_request",
    act: (s) => step(s, gradientsOf(7), { baseIteration: 99 }),
  },
  {
    what: "an unknown hyperparameter",
    code: "invalid_config",
    act: (s) => step(s, gradientsOf(7), { hyperparameters: { learning_rate: 0.5, speed: 1 } }),
  },
  {
    what: "a wrong hyperparameter",
    code: "invalid_config",
    act: (s) => step(s, gradientsOf(7), { hyperparameters: { clipvalue: -1 } }),
  },
  { what: "a wrong attribute", code: "invalid_config", act: (s) => s.patchOptimizer({ clipnorm: "much" }) },
  {
    what: "a schedule without its numbers",
    code: "invalid_config",
    act: (s) => s.patchOptimizer({ clipvalue: 3, learning_rate: { class_name: "CosineDecay" } }),
  },
  { what: "too many weights", code: "invalid_weights", act: (s) => s.setWeights(new Array(99).fill(0)) },
  { what: "no variables", code: "invalid_request", act: (s) => setVariables(s, {}) },
  {
    what: "a variable of another shape",
    code: "shape_mismatch",
    act: (s) => setVariables(s, { ...gradientsOf(7), matrix: [[1]] }),
  },
  { what: "an unknown slot", code: "unknown_slot", act: (s) => s.readSlot("speed") },
  {
    what: "a row that is not there",
    code: "index_out_of_range",
    act: (s) => s.gather("matrix", [0, 6], { bytesMax: 1000 }),
  },
];

Deno.test("a refused request changes nothing, whatever the optimizer", async () => {
  const registry = newRegistry();
  for (const variant of VARIANTS) {
    const session = await registry.create(specOf(variant));
    // This holds for a new run and for one that has made a step.
    for (let n = 0; n < 2; n++) {
      const before = stateOf(session);
      for (const { what, code, act } of REFUSALS) {
        const refused = refusal(() => act(session));
        assert.equal(refused.code, code, `${variant.label}: ${what}: ${refused.message}`);
        assert.deepEqual(stateOf(session), before, `${variant.label}: ${what}`);
        assert.equal(session.bytes.staging, 0);
      }
      step(session, gradientsOf(1));
    }
  }
});

Deno.test("a run steps on after refusals as if there had been no request", async () => {
  const registry = newRegistry();
  for (const variant of VARIANTS) {
    const one = await registry.create(specOf(variant)), other = await registry.create(specOf(variant));
    for (let seed = 0; seed < 3; seed++) {
      for (const { act } of REFUSALS) refusal(() => act(other));
      for (const session of [one, other]) step(session, gradientsOf(seed, { sparse: seed === 1 }));
    }
    assert.deepEqual(stateOf(other), stateOf(one), variant.label);
  }
});

Deno.test("two gradients for one variable are refused", async () => {
  const session = await newRegistry().create(specOf(VARIANTS[0] as typeof VARIANTS[number]));
  for (const first of ["dense", "none"] as const) {
    const staging = session.stage("gradients");
    const wire = { dtype: "F32", shape: SHAPES["vector"] ?? [] } as const;
    if (first === "dense") staging.dense("vector", wire);
    else staging.none("vector");
    const again = [
      () => staging.dense("vector", wire),
      () => staging.none("vector"),
      () => staging.sparse("vector", { dtype: "I32", shape: [1] }, { dtype: "F32", shape: [1] }),
    ];
    for (const act of again) {
      const { code, message } = refusal(act);
      assert.equal(code, "invalid_request");
      assert.match(message, /given twice/);
    }
    staging.release();
  }
});

Deno.test("create() refuses an invalid spec, and leaves no run behind", async () => {
  const registry = newRegistry({ runsMax: 1 });
  const good = { optimizer: "SGD", variables: [{ name: "w", shape: [2] }] };
  const variable = (fields: Record<string, unknown>) => ({
    ...good,
    variables: [{ name: "w", shape: [2], ...fields }],
  });
  const table: [object, ErrorCode][] = [
    [{ ...good, optimizer: "Best" }, "unknown_class"],
    [{ ...good, optimizer: { class_name: "SGD", config: { momentum: 2 } } }, "invalid_config"],
    [{ ...good, variables: [...good.variables, ...good.variables] }, "invalid_request"],
    [variable({ initial: [1, 2, 3] }), "shape_mismatch"],
    [variable({ initial: [1, "two"] }), "invalid_number"],
    [variable({ initial: "Best" }), "unknown_class"],
    [variable({ initial: { class_name: "Constant", config: { values: 1 } } }), "invalid_config"],
    [variable({ constraint: { class_name: "MaxNorm", config: { axis: 1 } } }), "invalid_config"],
    [variable({ constraint: "RadialConstraint" }), "invalid_config"],
    [variable({ constraint: "Rounded" }), "unknown_class"],
    [{ ...good, gradient_transformers: ["Better"] }, "unknown_class"],
    [{ ...good, aggregation: { mode: "immediate", aggregator: "Vote" } }, "unknown_class"],
    [variable({ shape: [2 ** 40] }), "run_too_large"],
    [variable({ shape: [2 ** 52] }), "run_too_large"],
    [variable({ shape: [2 ** 28] }), "out_of_memory"],
  ];
  for (const [spec, code] of table) {
    await assert.rejects(
      registry.create({ id: "here", ...spec } as Parameters<typeof registry.create>[0]),
      (error: { code?: string; message: string }) =>
        error.code === code || assert.fail(`${code}: ${error.message}`),
    );
    assert.equal(registry.has("here"), false);
  }
  await registry.create({ id: "here", ...good });
  await assert.rejects(registry.create({ id: "here", ...good }), { code: "run_exists" });
  await assert.rejects(registry.create({ id: "there", ...good }), { code: "too_many_runs" });
  assert.equal(registry.figures().runs, 1);
});
