/** Reading a run: copies of one version, rows, slots. */
import assert from "node:assert/strict";
import type { PublishedFile } from "../../../src/run/api/run_session.ts";
import { encodeSafetensors } from "../../../src/wire/safetensors_writer.ts";
import { newRegistry, numbers, open, refusal, setVariables, step, tensor } from "../support/harness.ts";

const SGD = { class_name: "SGD", config: { learning_rate: 1, momentum: 0.5 } };
const VARIABLES = [{ name: "a", shape: [2, 3], initial: 1 }, { name: "b", shape: [4], initial: 2 }];
const GRADIENTS = { a: [[1, 1, 1], [1, 1, 1]], b: [1, 1, 1, 1] };

Deno.test("publish() shares one copy of a version between its readers, and makes a new one for the next version", async () => {
  const registry = newRegistry();
  const session = await registry.create({ optimizer: SGD, variables: VARIABLES });
  const one = session.publish();
  const other = session.publish();
  assert.deepEqual(one.tensors.map(({ name, shape }) => [name, shape]), [["a", [2, 3]], ["b", [4]]]);
  one.tensors.forEach(({ values }, n) => assert.equal(values, other.tensors[n]?.values));
  assert.equal(registry.figures().publishedBytes, 40);
  step(session, GRADIENTS);
  const next = session.publish();
  assert.deepEqual([one.version, one.iterations, next.version, next.iterations], [0, 0, 1, 1]);
  assert.deepEqual([...(one.tensors[0]?.values ?? [])], [1, 1, 1, 1, 1, 1]);
  assert.deepEqual([...(next.tensors[0]?.values ?? [])], [0, 0, 0, 0, 0, 0]);
  assert.equal(registry.figures().publishedBytes, 80);
  one.release();
  one.release();
  assert.equal(registry.figures().publishedBytes, 80);
  other.release();
  assert.equal(registry.figures().publishedBytes, 40);
  next.release();
});

Deno.test("publish() copies only the requested variables", async () => {
  const registry = newRegistry();
  const session = await registry.create({ optimizer: SGD, variables: VARIABLES });
  const { tensors, release } = session.publish(["b", "b"]);
  assert.deepEqual(tensors.map(({ name }) => name), ["b"]);
  assert.equal(registry.figures().publishedBytes, 16);
  release();
  assert.equal(refusal(() => session.publish(["a", "nothing"])).code, "unknown_variable");
  assert.equal(registry.figures().publishedBytes, 16);
});

Deno.test("publish() has all variables as a file of the same bits, and some before or after as the same copies", async () => {
  // A signalling NaN stays what it is only if nothing reads it as a float; long variables are copied in another way.
  const bits = new Int32Array(Float32Array.from(numbers(300, { seed: 4, special: true })).buffer);
  bits[5] = 0x7fa12345;
  const values = new Float32Array(bits.buffer);
  const registry = newRegistry();
  const variables = [["z", 10], ["m", 200], ["empty", 0], ["a", 30], ["b", 60]] as const;
  const session = await registry.create({
    optimizer: SGD,
    variables: variables.map(([name, count]) => ({ name, shape: [count] })),
  });
  let at = 0;
  const given = variables.map(([name, count]) => ({ name, values: values.slice(at, at += count) }));
  const staging = session.stage("values");
  for (const { name, values } of given) {
    const sink = staging.dense(name, { dtype: "F32", shape: [values.length] });
    sink.write(new Uint8Array(values.buffer));
    sink.close();
  }
  session.setVariables(staging);
  staging.release();
  const whole = session.publish();
  const some = session.publish(["m"]);
  assert.equal(registry.figures().publishedBytes, 1200);
  const bytesOf = (from: Float32Array) =>
    Uint8Array.from(new Uint8Array(from.buffer, from.byteOffset, from.byteLength));
  const wanted = encodeSafetensors(
    given.map((each) => ({ ...each, shape: [each.values.length] })),
    { metadata: { version: "1" } },
  ).body as Uint8Array;
  const file = whole.file as PublishedFile;
  assert.deepEqual(Uint8Array.from([...file.header({ version: "1" }), ...file.data]), wanted);
  assert.deepEqual(
    whole.tensors.map(({ name, values }) => [name, bytesOf(values)]),
    given.map(({ name, values }) => [name, bytesOf(values)]),
  );
  assert.equal(some.tensors[0]?.values, whole.tensors[1]?.values);
  assert.equal(some.file, undefined);
  for (const each of [whole, some]) each.release();

  step(session, { z: Array(10).fill(1) });
  const first = session.publish(["a"]);
  const all = session.publish();
  assert.equal(all.tensors[3]?.values, first.tensors[0]?.values);
  assert.equal(all.file, undefined);
  assert.equal(registry.figures().publishedBytes, 1200);
});

for (
  const [what, change] of [
    ["a step", (s) => void step(s, GRADIENTS)],
    ["variables are set", (s) => setVariables(s, { a: [[9, 9, 9], [9, 9, 9]] })],
    ["a hyperparameter changes", (s) => void s.patchOptimizer({ learning_rate: 2 })],
    ["weights are set", (s) => s.setWeights([3, [[1, 1, 1], [1, 1, 1]], [1, 1, 1, 1]])],
  ] as [string, (session: Awaited<ReturnType<typeof open>>) => void][]
) {
  Deno.test(`a reader's copy stays whole and is no longer counted after ${what === "a step" ? "a step comes" : what}`, async () => {
    const registry = newRegistry();
    const session = await registry.create({ optimizer: SGD, variables: VARIABLES });
    const reader = session.publish();
    const copies = reader.tensors.map(({ values }) => values.slice());
    change(session);
    assert.equal(session.version, 1);
    assert.deepEqual(reader.tensors.map(({ values }) => values), copies);
    reader.release();
    assert.equal(registry.figures().publishedBytes, 0);
  });
}

Deno.test("a reader keeps its copy when the run is deleted, and its release frees the memory", async () => {
  const registry = newRegistry();
  const session = await registry.create({ optimizer: SGD, variables: VARIABLES });
  const reader = session.publish();
  await registry.delete(session.id);
  assert.deepEqual([...(reader.tensors[1]?.values ?? [])], [2, 2, 2, 2]);
  assert.equal(registry.figures().publishedBytes, 40);
  reader.release();
  assert.equal(registry.figures().publishedBytes, 0);
  assert.equal(refusal(() => session.publish()).code, "unknown_run");
  assert.equal(refusal(() => session.checkpoint()).code, "unknown_run");
  assert.equal(refusal(() => session.gather("a", [], { bytesMax: 100 })).code, "unknown_run");
});

Deno.test("gather() returns rows in the requested order, repeated ones too", async () => {
  for (const shape of [[5, 3], [5], [5, 2, 2], [5, 0]]) {
    const width = shape.slice(1).reduce((a, b) => a * b, 1);
    const values = numbers(5 * width, { seed: width, special: true });
    const session = await open({
      optimizer: "SGD",
      variables: [{ name: "w", shape, initial: tensor(shape, values) }],
    });
    for (const indices of [[], [4], [3, 0, 3, 4, 0]]) {
      const { shape: got, values: rows } = session.gather("w", indices, { bytesMax: 1000 });
      assert.deepEqual(got, [indices.length, ...shape.slice(1)]);
      assert.deepEqual([...rows], indices.flatMap((row) => values.slice(row * width, (row + 1) * width)));
    }
    assert.deepEqual(session.bytes.staging, 0);
  }
});

Deno.test("gather() refuses scalars, unknown names, rows out of range and more bytes than allowed", async () => {
  const session = await open({
    optimizer: "SGD",
    variables: [...VARIABLES, { name: "c", shape: [] }],
  });
  const attempt = (name: string, indices: number[], bytesMax = 100) =>
    refusal(() => session.gather(name, indices, { bytesMax }));
  assert.equal(attempt("c", [0]).code, "shape_mismatch");
  assert.equal(attempt("d", [0]).code, "unknown_variable");
  assert.equal(attempt("a", [0, 1], 23).code, "invalid_request");
  const { code, issues } = attempt("a", [0, 2]);
  assert.deepEqual([code, issues], ["index_out_of_range", [{
    path: "indices.1",
    message: "is 2, must be from 0 to 1",
  }]]);
  assert.equal(attempt("a", [-1]).code, "index_out_of_range");
  assert.equal(session.gather("a", [0, 1], { bytesMax: 24 }).values.length, 6);
});

Deno.test("readSlot() returns a slot of every variable, with its initial values before the first step", async () => {
  const session = await open({ optimizer: "Adagrad", variables: VARIABLES });
  assert.deepEqual(session.slotNames(), ["accumulator"]);
  const read = () =>
    session.readSlot("accumulator").map(({ name, shape, values }) => [name, shape, [...values]]);
  const tenth = Math.fround(0.1);
  assert.deepEqual(read(), [["a", [2, 3], new Array(6).fill(tenth)], ["b", [4], new Array(4).fill(tenth)]]);
  const copy = session.readSlot("accumulator")[1]?.values;
  step(session, { b: [1, 2, 0, 0] });
  assert.deepEqual([...(copy ?? [])], new Array(4).fill(tenth));
  assert.deepEqual(read()[1]?.[2], [Math.fround(1.1), Math.fround(4.1), tenth, tenth]);
  const { code, message } = refusal(() => session.readSlot("momentum"));
  assert.equal(code, "unknown_slot");
  assert.match(message, /"momentum".*slots are "accumulator"/);
});

Deno.test("describe() returns the spec and the present state", async () => {
  const session = await open({
    optimizer: { class_name: "Adam", config: { lr: 0.5, epsilon: 0 } },
    variables: [...VARIABLES, { name: "c", shape: [], constraint: "non_neg" }],
    gradient_transformers: ["Centralize", { class_name: "Scale", config: { scale: 2 } }],
    non_finite: "skip",
  });
  const { created_at, warnings, optimizer, ...rest } = session.describe();
  assert.equal(created_at, "1970-01-01T00:00:00.000Z");
  assert.deepEqual(optimizer, session.optimizer());
  assert.equal(warnings.length, 2);
  assert.deepEqual(rest, {
    id: "run-0",
    iterations: 0,
    version: 0,
    variables: [
      { name: "a", shape: [2, 3], dtype: "float32", constraint: null, role: "optimize" },
      { name: "b", shape: [4], dtype: "float32", constraint: null, role: "optimize" },
      {
        name: "c",
        shape: [],
        dtype: "float32",
        constraint: { class_name: "NonNeg", config: {} },
        role: "optimize",
      },
    ],
    slots: ["m", "v"],
    parameters: 11,
    bytes: 3 * 44,
    aggregation: {
      mode: "immediate",
      aggregator: { class_name: "Sum", config: {} },
      payload: "gradient",
      max_staleness: null,
      staleness_weighting: { class_name: "Constant", config: {} },
      client_clipnorm: null,
      noise: null,
    },
    clip_norm: null,
    round: null,
    gradient_transformers: [{ class_name: "Centralize", config: {} }, {
      class_name: "Scale",
      config: { scale: 2 },
    }],
    non_finite: "skip",
    durability: "journal",
    journal_bytes: 0,
    snapshot_version: null,
  });
});
