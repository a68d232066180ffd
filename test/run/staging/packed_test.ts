/** Compact forms in bodies: each equals, bit for bit, the float32 gradient that it encodes. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import type { StepAnswer } from "../../../src/run/api/steps.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { random } from "../../kernels/support/special.ts";
import { codeOf, newRegistry, numbers, open, refusal, stateOf, step, tensor } from "../support/harness.ts";
import { lasting, newWorld, request } from "../support/stored.ts";
import { entries, type Packed, type Part, placed, quantize, send, withIndices } from "./support/packed.ts";

const APPLY = { aggregate: true, dryRun: false };
const ORDERS: readonly (readonly Part[])[] = [
  ["scale", "values", "indices"],
  ["values", "scale", "indices"],
  ["indices", "scale", "values"],
  ["values", "indices", "scale"],
];
const order = fc.constantFrom(...ORDERS);
const pieces = fc.constantFrom(1, 3, 64, 4096, 5000, 1 << 20);

function stepPacked(
  session: Session,
  packed: Packed,
  options: { order?: readonly Part[]; size?: number } = {},
): StepAnswer {
  const staging = session.stage("gradients");
  try {
    send(staging, "w", packed, options);
    return session.step(staging, APPLY);
  } finally {
    staging.release();
  }
}

/** The run after a step with the compact form, and its twin after a step with the full float32 values. */
async function twins(
  shape: readonly number[],
  packed: Packed,
  { gradient, ...options }: { gradient: unknown; order?: readonly Part[]; size?: number },
) {
  const make = () =>
    open({
      optimizer: { class_name: "Adam", config: { learning_rate: 0.1, global_clipnorm: 3 } },
      variables: [{ name: "w", shape }],
      non_finite: "propagate",
    });
  const one = await make(), other = await make();
  const answers = [stepPacked(one, packed, options), step(other, { w: gradient })];
  assert.deepEqual(answers[0], answers[1]);
  assert.deepEqual(stateOf(one), stateOf(other));
}

Deno.test("int8 blocks equal the float32 values that they encode, in any order and any pieces", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        count: fc.constantFrom(0, 1, 63, 64, 65, 300, 4096, 4097, 9001),
        block: fc.constantFrom(1, 7, 16, 64, 100, 4096, 5000, 1 << 20),
        seed: fc.nat(1000),
        special: fc.boolean(),
        order,
        size: pieces,
      }),
      async ({ count, block, seed, special, order, size }) => {
        const scales = special ? numbers(17, { seed, special }) : undefined;
        const packed = quantize(numbers(count, { seed }), {
          shape: [count],
          block,
          ...(scales && { scales }),
        });
        await twins([count], packed, { gradient: tensor([count], packed.decoded), order, size });
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("int8 values of rows equal the rows that they encode", async () => {
  for (const order of ORDERS) {
    const rows = [5, 0, 5, 3], shape = [4, 3];
    const values = quantize(numbers(12, { seed: 4 }), { shape, block: 5 });
    const packed = withIndices(values, { indices: rows, flat: false, wide: order[0] === "values" });
    const gradient = { indices: rows, values: tensor(shape, packed.decoded) };
    await twins([6, 3], packed, { gradient, order, size: 7 });
  }
});

Deno.test("flat entries make a dense tensor that is zero elsewhere, and repeated ones are added up in order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        count: fc.constantFrom(1, 40, 4097, 9000),
        density: fc.constantFrom(0, 0.01, 0.5, 2),
        dtype: fc.constantFrom("F32", "F16", "BF16", "F64", "I8"),
        seed: fc.nat(1000),
        special: fc.boolean(),
        order,
        size: pieces,
      }),
      async ({ count, density, dtype, seed, special, order, size }) => {
        const next = random(seed);
        const indices = Array.from({ length: Math.floor(density * count) }, () => Math.floor(next() * count));
        const values = numbers(indices.length, { seed, special });
        const packed = dtype === "I8"
          ? withIndices(quantize(values, { shape: [values.length], block: 16 }), { indices })
          : entries(values, { indices, dtype, wide: seed % 2 === 0 });
        const shape = count % 2 === 0 ? [2, count / 2] : [count];
        const gradient = tensor(shape, placed(count, indices, packed.decoded));
        await twins(shape, packed, { gradient, order, size });
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("the order of repeated entries is that of the body: float32 sums are not associative", async () => {
  const at = (values: number[]) => entries(values, { indices: [2, 2, 2], dtype: "F32" });
  for (const [values, sum] of [[[1e8, 1, -1e8], 0], [[1e8, -1e8, 1], 1]] as [number[], number][]) {
    const session = await open({
      optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
      variables: [{ name: "w", shape: [3] }],
    });
    const answer = stepPacked(session, at(values));
    assert.equal(answer.gradient_norm, sum);
  }
});

Deno.test("a scalar has one element, 0", async () => {
  await twins([], entries([2.5], { indices: [0], dtype: "F32" }), { gradient: 2.5 });
  await twins([], quantize([2.5], { shape: [], block: 64 }), { gradient: 2.5 });
  await twins([], entries([], { indices: [], dtype: "F32" }), { gradient: 0 });
});

Deno.test("flat entries are dense: a constraint accepts them, but not rows", async () => {
  const make = () =>
    open({
      optimizer: "SGD",
      variables: [{ name: "w", shape: [4], initial: 1, constraint: { class_name: "NonNeg", config: {} } }],
    });
  const session = await make(), twin = await make();
  const packed = entries([200, -1], { indices: [3, 1], dtype: "F16" });
  assert.deepEqual(stepPacked(session, packed), step(twin, { w: [0, -1, 0, 200] }));
  assert.deepEqual(stateOf(session), stateOf(twin));
  const rows = { ...packed, tensor: { ...packed.tensor, flat: false } };
  assert.equal(codeOf(() => stepPacked(session, rows)), "sparse_with_constraint");
});

Deno.test("values that are not finite are subject to the run's policy, whatever their source", async () => {
  const shape = [2, 3];
  const cases: [Packed, string][] = [
    [quantize([0, 1, 2, 3, 4, 5], { shape, block: 3, scales: [1, NaN] }), "NaN at [1, 0]"],
    [quantize([1, 1, 1, 0, 1, 1], { shape, block: 3, scales: [1, Infinity] }), "NaN at [1, 0]"],
    [quantize([1, 1, 1, 1, 1, 1], { shape, block: 4, scales: [1, -Infinity] }), "-Infinity at [1, 1]"],
    [quantize([1, 1, 1, 1, 1, 120], { shape, block: 6, scales: [3e38] }), "Infinity at [1, 2]"],
    [entries([1, Infinity], { indices: [0, 5], dtype: "F16" }), "Infinity at [1, 2]"],
    [entries([-Infinity, Infinity], { indices: [5, 5], dtype: "BF16" }), "NaN at [1, 2]"],
    [entries([3e38, 3e38], { indices: [4, 4], dtype: "F32" }), "Infinity at [1, 1]"],
  ];
  for (const [packed, what] of cases) {
    const make = (non_finite?: "skip" | "propagate") =>
      open({ optimizer: "SGD", variables: [{ name: "w", shape }], non_finite });
    const rejecting = await make(), before = stateOf(rejecting);
    const { code, issues } = refusal(() => stepPacked(rejecting, packed));
    assert.equal(code, "non_finite_gradient");
    const message = `is ${what} (the variable has shape [2, 3]), must be finite`;
    assert.deepEqual(issues, [{ path: "gradients.w", message }]);
    assert.deepEqual(stateOf(rejecting), before);

    const skipping = await make("skip");
    const { applied, warnings } = stepPacked(skipping, packed);
    assert.deepEqual([applied, warnings], [false, [`The step was skipped: the gradient of "w" ${message}`]]);
    assert.deepEqual(stateOf(skipping), before);

    const propagating = await make("propagate");
    assert.equal(stepPacked(propagating, packed).applied, true);
  }
  const extreme = await open({ optimizer: "SGD", variables: [{ name: "w", shape }] });
  // Squares beyond float32 are not refused.
  const large = quantize([-120, 1, 1, 1, 1, 1], { shape, block: 6, scales: [2 ** 120] });
  assert.equal(stepPacked(extreme, large).gradient_norm, Infinity);
});

Deno.test("a compact form that does not fit the variable is refused and leaves nothing behind", async () => {
  const registry = newRegistry();
  const session = await registry.create({
    optimizer: "SGD",
    variables: [{ name: "w", shape: [4, 2] }, { name: "scalar", shape: [] }],
  });
  const before = stateOf(session);
  const eight = numbers(8, { seed: 1 });
  const blocks = (shape: number[]) => quantize(eight, { shape, block: 3 });
  const some = (indices: number[], wide = false) => entries([1, 2], { indices, dtype: "F32", wide });
  const halves = entries(eight, { indices: [], dtype: "F16" });
  const ofFloats: Packed = {
    ...blocks([4, 2]),
    tensor: { values: { dtype: "I32", shape: [2] }, flat: true },
  };
  const cases: [string, Packed, string, string, string][] = [
    ["w", blocks([8]), "shape_mismatch", "gradients.w", "has shape [8], must be [4, 2]"],
    ["w", blocks([2, 4]), "shape_mismatch", "gradients.w", "has shape [2, 4], must be [4, 2]"],
    [
      "w",
      withIndices(blocks([2, 4]), { indices: [0, 1], flat: false }),
      "shape_mismatch",
      "gradients.w#values",
      "has shape [2, 4], must be [2, 2]",
    ],
    [
      "scalar",
      withIndices(quantize([1], { shape: [1], block: 1 }), { indices: [0], flat: false }),
      "shape_mismatch",
      "gradients.scalar",
      "is a scalar, which has no rows for a sparse gradient",
    ],
    ["w", some([0, 8]), "index_out_of_range", "gradients.w.indices.1", "is 8, must be from 0 to 7"],
    ["w", some([-1, 0]), "index_out_of_range", "gradients.w.indices.0", "is -1, must be from 0 to 7"],
    ...[2 ** 32, 2 ** 32 + 3, 3 - 2 ** 32, -1, 8].map((index): typeof cases[number] => [
      "w",
      some([0, index], true),
      "index_out_of_range",
      "gradients.w.indices.1",
      `is ${index}, must be from 0 to 7`,
    ]),
    ["scalar", some([0, 1]), "index_out_of_range", "gradients.scalar.indices.1", "is 1, must be from 0 to 0"],
    [
      "w",
      withIndices(ofFloats, { indices: [0, 1] }),
      "dtype_mismatch",
      "gradients.w",
      "is I32, must be F32, F16, BF16 or F64",
    ],
    [
      "w",
      { ...halves, tensor: { ...blocks([4, 2]).tensor, values: { dtype: "F16", shape: [4, 2] } } },
      "dtype_mismatch",
      "gradients.w",
      "is F16 with a scale, must be F32, F16, BF16 or F64",
    ],
  ];
  for (const [name, packed, code, path, message] of cases) {
    const staging = session.stage("gradients");
    const found = refusal(() => send(staging, name, packed));
    staging.release();
    assert.deepEqual([found.code, found.issues], [code, [{ path, message }]]);
    assert.deepEqual(stateOf(session), before);
    assert.equal(registry.figures().stagingBytes, 0);
  }
  const staging = session.stage("gradients");
  const { issues } = refusal(() => staging.dense("w", { dtype: "I8", shape: [4, 2] }));
  const message = "is I8 without a scale, must be F32, F16, BF16 or F64";
  assert.deepEqual(issues, [{ path: "gradients.w", message }]);
  send(staging, "w", blocks([4, 2]));
  assert.equal(codeOf(() => send(staging, "w", some([0, 1]))), "invalid_request", "twice");
  assert.equal(codeOf(() => staging.packed("other", some([0, 1]).tensor)), "unknown_variable");
  staging.release();
});

Deno.test("compact forms are refused for setting variables", async () => {
  const session = await open({ optimizer: "SGD", variables: [{ name: "w", shape: [2] }] });
  const staging = session.stage("values");
  for (
    const packed of [quantize([1, 2], { shape: [2], block: 1 }), entries([1], { indices: [0], dtype: "F32" })]
  ) {
    const { code, issues } = refusal(() => send(staging, "w", packed));
    const message = "is in a compact form, must be plain: values are set whole";
    assert.deepEqual([code, issues], ["invalid_request", [{ path: "variables.w", message }]]);
  }
  staging.release();
});

Deno.test("an incomplete or too long part is refused", async () => {
  const registry = newRegistry();
  const session = await registry.create({ optimizer: "SGD", variables: [{ name: "w", shape: [9] }] });
  const whole: readonly Packed[] = [
    quantize(numbers(9, { seed: 1 }), { shape: [9], block: 4 }),
    entries([1, 2], { indices: [3, 4], dtype: "F16" }),
  ];
  for (const packed of whole) {
    for (const part of Object.keys(packed.bytes) as Part[]) {
      const bytes = packed.bytes[part] as Uint8Array;
      for (const [wrong, message] of [[bytes.subarray(1), / of /], [[...bytes, 0], /more than/]] as const) {
        const staging = session.stage("gradients");
        const broken = { ...packed, bytes: { ...packed.bytes, [part]: Uint8Array.from(wrong) } };
        assert.throws(() => send(staging, "w", broken), { name: "RangeError", message });
        assert.throws(() => session.applyGradients(staging, APPLY), /not received completely/);
        staging.release();
      }
      const staging = session.stage("gradients");
      const { [part]: _left, ...bytesThatCame } = packed.bytes;
      send(staging, "w", { ...packed, bytes: bytesThatCame as Packed["bytes"] });
      assert.throws(() => session.applyGradients(staging, APPLY), /not received completely/);
      staging.release();
    }
  }
  assert.equal(session.version, 0);
  assert.equal(registry.figures().stagingBytes, 0);
});

const JOURNALED: Readonly<Record<string, Packed>> = {
  blocks: quantize(numbers(300, { seed: 1 }), { shape: [100, 3], block: 64 }),
  large: quantize(numbers(300, { seed: 2 }), { shape: [100, 3], block: 1 << 20, scales: [0.25] }),
  rows: withIndices(quantize(numbers(6, { seed: 3 }), { shape: [2, 3], block: 2 }), {
    indices: [9, 9],
    flat: false,
  }),
  half: entries(numbers(5, { seed: 4 }), { indices: [7, 299, 7, 0, 1], dtype: "F16", wide: true }),
  float: entries(numbers(5, { seed: 5 }), { indices: [7, 299, 7, 0, 1], dtype: "F32" }),
  both: withIndices(quantize(numbers(5, { seed: 6 }), { shape: [5], block: 2 }), {
    indices: [7, 299, 7, 0, 1],
  }),
  nothing: entries([], { indices: [], dtype: "BF16" }),
};

Deno.test("the journal keeps the received bytes of compact forms, and a replay gives the same bits", async () => {
  await using world = await newWorld();
  const session = await world.registry.create({
    id: "run",
    optimizer: { class_name: "Adam", config: { learning_rate: 0.1, clipnorm: 1 } },
    variables: [{ name: "w", shape: [100, 3], initial: 1 }],
  });
  for (const [name, packed] of Object.entries(JOURNALED)) {
    const { values, scale } = packed.bytes;
    const count = packed.tensor.indices?.shape[0] ?? 0;
    const bytes = values.length + (scale?.length ?? 0) + 4 * count;
    const before = session.describe().journal_bytes;
    await request(
      world.registry,
      "run",
      (run) => stepPacked(run, packed, { order: ["values", "scale", "indices"] }),
    );
    const overhead = session.describe().journal_bytes - before - bytes;
    assert.ok(overhead > 0 && overhead < 330, `${name}: ${overhead} bytes beside the ${bytes} that came`);
    const path = world.disk.paths.find((each) => /journal/.test(each)) as string;
    const journal = Buffer.from(world.disk.bytesOf(path));
    for (const part of [values, ...(scale ? [scale] : [])]) {
      assert.ok(journal.includes(Buffer.from(part)), name);
    }
  }
  const lived = lasting(session);
  await world.restart();
  assert.deepEqual(lasting(world.registry.get("run")), lived);
});
