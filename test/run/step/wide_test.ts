/**
 * Steps of many small variables, which are planned as one where they lie side by side, against the same steps with
 * every variable by itself: the same bits, and fewer kernel calls.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { runCompiled, type Runner } from "../../../kernels/compiler/runner.ts";
import type { RunSpec } from "../../../src/run/api/run_spec.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { random } from "../../kernels/support/special.ts";
import { newRegistry, numbers, send, stateOf, tensor } from "../support/harness.ts";
import { sizeOf, VARIANTS } from "../support/variants.ts";

const SHAPES = [[], [1], [3], [0], [5, 2], [17], [2, 0], [4, 4], [67], [1, 1]];
/** More than regions are shared for, and one that is too large to share. */
const VARIABLES = Array.from({ length: 40 }, (_, n) => ({
  name: `v${n}`,
  shape: SHAPES[n % SHAPES.length] as number[],
}));
const LARGE = { name: "large", shape: [4100] };

interface Case {
  readonly optimizer: RunSpec["optimizer"];
  readonly clips: Readonly<Record<string, number>>;
  readonly transformers: readonly { class_name: string; config: Record<string, unknown> }[];
  readonly constrained: readonly number[];
  readonly hasLarge: boolean;
  readonly isSpecial: boolean;
  /** How the names of each step's body are chosen. */
  readonly bodies: readonly ("all" | "reversed" | "shuffled" | "some")[];
}

const CASE: fc.Arbitrary<Case> = fc.record({
  optimizer: fc.constantFrom(...VARIANTS.map(({ optimizer }) => optimizer)),
  clips: fc.constantFrom(
    {},
    { clipvalue: 0.5 },
    { clipnorm: 1.5 },
    { global_clipnorm: 2 },
    { clipvalue: 0.7, global_clipnorm: 1 },
    { global_clipnorm: 1e30 },
  ),
  transformers: fc.constantFrom(
    [],
    [{ class_name: "Scale", config: { scale: -0.3 } }],
    [{ class_name: "Centralize", config: {} }],
    [{ class_name: "AddDecayedWeights", config: { weight_decay: 0.1 } }],
    [{ class_name: "ClipByNorm", config: { clip_norm: 0.8 } }],
    [{ class_name: "AddGaussianNoise", config: { stddev: 0.1, seed: 3 } }],
    [
      { class_name: "ClipByValue", config: { clip_value: 0.4 } },
      { class_name: "AddDecayedWeights", config: { weight_decay: 0.01 } },
    ],
  ),
  constrained: fc.constantFrom([], [], [3, 15]),
  hasLarge: fc.boolean(),
  isSpecial: fc.boolean(),
  bodies: fc.array(fc.constantFrom("all", "all", "reversed", "shuffled", "some"), {
    minLength: 1,
    maxLength: 4,
  }),
});

const variablesOf = ({ hasLarge }: Case) =>
  hasLarge ? [...VARIABLES.slice(0, 21), LARGE, ...VARIABLES.slice(21)] : VARIABLES;

/** `calls` counts the kernel calls. */
async function openCase(given: Case): Promise<{ session: Session; calls: () => number }> {
  let calls = 0;
  const runner: Runner = (arena, call) => {
    calls += 1;
    return runCompiled(arena, call);
  };
  const { optimizer, clips, transformers, constrained } = given;
  const own = optimizer as { class_name: string; module?: string; config: object };
  // Only the legacy optimizers of Keras take all clips.
  const clipped = own.module === undefined ? clips : {};
  const session = await newRegistry({ runner }).create({
    optimizer: { ...own, config: { ...own.config, ...clipped } },
    gradient_transformers: transformers as RunSpec["gradient_transformers"] & object,
    non_finite: "propagate",
    variables: variablesOf(given).map(({ name, shape }, n) => ({
      name,
      shape,
      initial: tensor(shape, numbers(sizeOf(shape), { seed: 100 + n })),
      ...constrained.includes(n) && { constraint: { class_name: "NonNeg", config: {} } },
    })),
  });
  return { session, calls: () => calls };
}

/** The bodies of a case; with `isApart` as float64, which regions of their own take. */
function* bodies(given: Case, isApart: boolean): Generator<Record<string, unknown>> {
  const next = random(77);
  for (const [at, choice] of given.bodies.entries()) {
    let chosen = variablesOf(given);
    if (choice === "reversed") chosen = chosen.toReversed();
    if (choice === "shuffled") {
      chosen = chosen.map((each) => ({ each, key: next() })).sort((a, b) => a.key - b.key)
        .map(({ each }) => each);
    }
    if (choice === "some") chosen = chosen.filter(() => next() % 3 > 0 || next() % 2 === 0);
    yield Object.fromEntries(chosen.map(({ name, shape }, n) => {
      const special = given.isSpecial && { special: true };
      const values = numbers(sizeOf(shape), { seed: 1000 * at + n, ...special });
      return [name, isApart ? float64(shape, values) : tensor(shape, values)];
    }));
  }
}

function float64(shape: readonly number[], values: readonly number[]) {
  const bytes = new Uint8Array(Float64Array.from(values, Math.fround).buffer);
  return { dtype: "float64", shape, base64: bytes.toBase64() };
}

/** NaN is NaN, whatever its bits: float64 does not keep them. */
const shown = (session: Session) =>
  JSON.stringify(
    stateOf(session),
    (_, value) =>
      Object.is(value, -0)
        ? "-0"
        : typeof value === "number" && !Number.isFinite(value)
        ? String(value)
        : value,
  );

Deno.test("a step of variables that lie side by side has the bits of a step of each by itself", async () => {
  let saved = 0;
  await fc.assert(
    fc.asyncProperty(CASE, async (given) => {
      const together = await openCase(given), apart = await openCase(given);
      const plain = bodies(given, true);
      for (const body of bodies(given, false)) {
        const answer = send(together.session, body),
          wanted = send(apart.session, plain.next().value as object);
        assert.deepEqual(answer, wanted);
      }
      assert.equal(shown(together.session), shown(apart.session));
      assert(together.calls() <= apart.calls());
      saved += apart.calls() - together.calls();
    }),
    { numRuns: 300, seed: 17 },
  );
  assert(saved > 1000, `only ${saved} calls were saved`);
});

for (const { optimizer, label } of VARIANTS) {
  Deno.test(`${label} has the bits of a step of each variable by itself, over three steps`, async () => {
    const given: Case = {
      optimizer,
      clips: {},
      transformers: [],
      constrained: [],
      hasLarge: false,
      isSpecial: true,
      bodies: ["all", "shuffled", "some"],
    };
    const together = await openCase(given), apart = await openCase(given);
    const plain = bodies(given, true);
    for (const body of bodies(given, false)) {
      send(together.session, body);
      send(apart.session, plain.next().value as object);
    }
    assert.equal(shown(together.session), shown(apart.session));
  });
}

Deno.test("an elementwise step of all small variables is one kernel call", async () => {
  const given: Case = {
    optimizer: { class_name: "Adam", config: {} },
    clips: { clipvalue: 0.5 },
    transformers: [{ class_name: "AddDecayedWeights", config: { weight_decay: 0.1 } }],
    constrained: [],
    hasLarge: false,
    isSpecial: false,
    bodies: ["all", "reversed"],
  };
  const { session, calls } = await openCase(given);
  for (const body of bodies(given, false)) send(session, body);
  assert.equal(calls(), 2);
});
