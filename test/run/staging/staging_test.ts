/** Bodies on their way into a run: in pieces, of any dtype, several at once, and of runs that are gone by then. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Arena } from "../../../kernels/arena.ts";
import { sumSquares } from "../../../kernels/routines/ingest.ts";
import { floatRegion, LARGE_COUNT } from "../../../src/run/staging/float_region.ts";
import type { Session } from "../../../src/run/session/session.ts";
import type { ByteSink, WireDtype } from "../../../src/tensor.ts";
import { checkpointOf, restore } from "../checkpoint/support/checkpoints.ts";
import {
  codeOf,
  newRegistry,
  numbers,
  open,
  refusal,
  stateOf,
  step,
  tensor,
  variablesOf,
} from "../support/harness.ts";

const ADAM = { class_name: "Adam", config: { learning_rate: 0.1 } };
const APPLY = { aggregate: true, dryRun: false };
const bytesOf = (values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer);

/** The pieces of a tensor, one write each. */
function* writes(sink: ByteSink, bytes: Uint8Array, size: number): Generator<void> {
  for (let at = 0; at < bytes.length; at += size) yield sink.write(bytes.subarray(at, at + size));
  yield sink.close();
}

function toEnd(work: Iterable<void>): void {
  for (const _ of work);
}

Deno.test("a tensor is the same whatever the pieces are that it comes in", async () => {
  const count = 9001;
  const values = numbers(count, { seed: 1 });
  const make = () => open({ optimizer: ADAM, variables: [{ name: "w", shape: [count] }] });
  const whole = await make();
  const answer = step(whole, { w: tensor([count], values) });
  for (const size of [1, 3, 4096, 16384, 16385, 50_000]) {
    const session = await make();
    const staging = session.stage("gradients");
    toEnd(writes(staging.dense("w", { dtype: "F32", shape: [count] }), bytesOf(values), size));
    assert.deepEqual(session.applyGradients(staging, APPLY), answer);
    staging.release();
    assert.deepEqual(variablesOf(session), variablesOf(whole));
  }
});

Deno.test("a tensor that does not stay in the caches is the same, bit for bit", () => {
  const arena = new Arena({ bytesMax: 1 << 26 });
  for (const count of [LARGE_COUNT - 1, LARGE_COUNT, LARGE_COUNT + 4096, LARGE_COUNT + 17]) {
    const values = Float32Array.from({ length: count }, (_, n) => Math.sin(n) * 2 ** (n % 19));
    values.set([-0, 2 ** -149, -(2 ** -140)], 70_000);
    const bytes = new Uint8Array(values.buffer);
    const wanted = arena.allocate(bytes.length);
    arena.f32(wanted, count).set(values);
    for (const size of [65_536, 65_519, 16_384, 300_001]) {
      const regions: number[] = [];
      const allocate = (length: number) => {
        const offset = arena.allocate(length);
        regions.push(offset);
        return offset;
      };
      const tensor = { values: { dtype: "F32" as const, shape: [count] } };
      let squares = NaN;
      const place = { arena, allocate, keepsBytes: true, name: "w", count };
      const region = floatRegion(place, tensor, (sum) => squares = sum);
      toEnd(writes(region.sinks.values, bytes, size));
      assert.deepEqual(arena.f32(region.values, count), values);
      assert.equal(squares, sumSquares(arena, wanted, count), `${count} elements by ${size} bytes`);
      assert.deepEqual(region.wire, { dtype: "F32", offset: region.values });
      regions.forEach((offset) => arena.release(offset));
    }
    arena.release(wanted);
  }
});

/** Encoders of the narrow types for numbers that they hold exactly. */
const ENCODE: Record<string, (values: readonly number[]) => Uint8Array> = {
  F64: (values) => new Uint8Array(Float64Array.from(values).buffer),
  F16: (values) => new Uint8Array(Float16Array.from(values).buffer),
  BF16: (values) => {
    const bits = new Uint32Array(Float32Array.from(values).buffer);
    return new Uint8Array(Uint16Array.from(bits, (each) => each >>> 16).buffer);
  },
};

Deno.test("F16, BF16 and F64 mean the float32 they stand for, in odd pieces and beside another tensor", async () => {
  const count = 13_001;
  // Eighths from -2 to 2 are exact in all of them.
  const values = numbers(count, { seed: 2 }).map((x) => Math.round(x * 8) / 8);
  for (const [dtype, encode] of Object.entries(ENCODE)) {
    for (const size of [1, 7, 8192, 1 << 20]) {
      const session = await open({
        optimizer: "SGD",
        variables: [{ name: "w", shape: [count] }, { name: "next", shape: [9] }],
      });
      const staging = session.stage("values");
      const sink = staging.dense("w", { dtype: dtype as WireDtype, shape: [count] });
      toEnd(writes(staging.dense("next", { dtype: "F32", shape: [9] }), bytesOf(values.slice(0, 9)), 9));
      toEnd(writes(sink, encode(values), size));
      session.setVariables(staging);
      staging.release();
      assert.deepEqual(variablesOf(session), { w: values, next: values.slice(0, 9) }, `${dtype} by ${size}`);
    }
  }
});

Deno.test("indices may be I32 or I64, and come after their values", async () => {
  const values = bytesOf([1, 2, 3, 4]);
  const indices = {
    I32: new Uint8Array(Int32Array.of(2, 0).buffer),
    I64: new Uint8Array(BigInt64Array.of(2n, 0n).buffer),
  };
  for (const [dtype, bytes] of Object.entries(indices)) {
    const session = await open({
      optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
      variables: [{ name: "w", shape: [3, 2] }],
    });
    const staging = session.stage("gradients");
    const wire = { dtype: dtype as WireDtype, shape: [2] };
    const sinks = staging.sparse("w", wire, { dtype: "F32", shape: [2, 2] });
    toEnd(writes(sinks.values, values, 3));
    toEnd(writes(sinks.indices, bytes, 3));
    session.applyGradients(staging, APPLY);
    staging.release();
    assert.deepEqual(variablesOf(session)["w"], [-3, -4, 0, 0, -1, -2]);
  }
});

Deno.test("a sink refuses more and fewer bytes than the tensor has, and the step one that has not come whole", async () => {
  const session = await open({ optimizer: "SGD", variables: [{ name: "w", shape: [2] }] });
  for (const count of [1, 3]) {
    const staging = session.stage("gradients");
    const sink = staging.dense("w", { dtype: "F32", shape: [2] });
    assert.throws(() => toEnd(writes(sink, bytesOf(new Array(count).fill(1)), 4)), RangeError);
    assert.throws(() => session.applyGradients(staging, APPLY), /not received completely/);
    staging.release();
  }
  assert.equal(session.version, 0);
});

Deno.test("staging is refused by other runs and for other uses", async () => {
  const registry = newRegistry();
  const make = () => registry.create({ optimizer: "SGD", variables: [{ name: "w", shape: [] }] });
  const one = await make(), other = await make();
  const staging = one.stage("gradients");
  toEnd(writes(staging.dense("w", { dtype: "F32", shape: [] }), bytesOf([1]), 4));
  assert.throws(() => other.applyGradients(staging, APPLY), /no such staging/);
  assert.throws(() => one.setVariables(staging), /no such staging/);
  staging.release();
  assert.throws(() => one.applyGradients(staging, APPLY), /no such staging/);
  staging.release();
  assert.equal(registry.figures().stagingBytes, 0);
});

Deno.test("dtypes that are no floats are refused for values", async () => {
  const session = await open({ optimizer: "SGD", variables: [{ name: "w", shape: [2] }] });
  const staging = session.stage("gradients");
  for (const dtype of ["I32", "I64"] as const) {
    assert.equal(codeOf(() => staging.dense("w", { dtype, shape: [2] })), "dtype_mismatch");
  }
  const { issues } = refusal(() => staging.dense("w", { dtype: "I32", shape: [2] }));
  assert.deepEqual(issues, [{ path: "gradients.w", message: "is I32, must be F32, F16, BF16 or F64" }]);
  staging.release();
});

const SHAPE = [70, 3];

/** A staging and the work of filling it. */
function upload(session: Session, { seed, sparse }: { seed: number; sparse: boolean }, size: number) {
  const staging = session.stage("gradients");
  if (!sparse) {
    const values = bytesOf(numbers(210, { seed }));
    return { staging, work: writes(staging.dense("w", { dtype: "F32", shape: SHAPE }), values, size) };
  }
  const indices = Int32Array.from({ length: 20 }, (_, n) => (n * 7 + seed) % 13);
  const sinks = staging.sparse("w", { dtype: "I32", shape: [20] }, { dtype: "F32", shape: [20, 3] });
  const work = function* () {
    yield* writes(sinks.indices, new Uint8Array(indices.buffer), size);
    yield* writes(sinks.values, bytesOf(numbers(60, { seed })), size);
  };
  return { staging, work: work() };
}

const uploads = fc.record({ seed: fc.integer({ min: 1, max: 50 }), sparse: fc.boolean() });

Deno.test("uploads that are interleaved piece by piece do what they do one after the other", async () => {
  const registry = newRegistry();
  const make = () => registry.create({ optimizer: ADAM, variables: [{ name: "w", shape: SHAPE }] });
  const turns = fc.array(fc.nat({ max: 1 }), { maxLength: 200 });
  await fc.assert(
    fc.asyncProperty(uploads, uploads, turns, fc.integer({ min: 1, max: 200 }), async (a, b, order, size) => {
      const together = await make(), apart = await make();
      const both = [upload(together, a, size), upload(together, b, size)];
      for (const turn of order) both[turn]?.work.next();
      for (const { work } of both) toEnd(work);
      for (const { staging } of both) {
        together.applyGradients(staging, APPLY);
        staging.release();
      }
      for (const each of [a, b]) {
        const { staging, work } = upload(apart, each, size);
        toEnd(work);
        apart.applyGradients(staging, APPLY);
        staging.release();
      }
      assert.deepEqual({ ...stateOf(together) }, { ...stateOf(apart) });
      await registry.delete(together.id);
      await registry.delete(apart.id);
    }),
    { numRuns: 40 },
  );
});

Deno.test("an upload into a run that is deleted meanwhile is refused, and holds the memory until it is over", async () => {
  const registry = newRegistry();
  const session = await registry.create({
    optimizer: ADAM,
    variables: [{ name: "w", shape: SHAPE }, { name: "b", shape: [3] }],
  });
  const { staging, work } = upload(session, { seed: 1, sparse: false }, 100);
  work.next();
  await registry.delete(session.id);
  // The body's end says that the run is gone, not that its variables are.
  toEnd(writes(staging.dense("b", { dtype: "F32", shape: [3] }), bytesOf([1, 2, 3]), 100));
  const other = await registry.create({
    optimizer: ADAM,
    variables: [{ name: "w", shape: SHAPE, initial: 5 }],
  });
  toEnd(work);
  assert.deepEqual(variablesOf(other)["w"], new Array(210).fill(5));
  assert.equal(codeOf(() => session.applyGradients(staging, APPLY)), "unknown_run");
  assert.equal(codeOf(() => session.stage("gradients")), "unknown_run");
  staging.release();
  staging.release();
  assert.deepEqual(variablesOf(other)["w"], new Array(210).fill(5));
});

Deno.test("an upload into a run that is replaced meanwhile is refused, and the new one is left alone", async () => {
  const registry = newRegistry();
  const session = await registry.create({ optimizer: ADAM, variables: [{ name: "w", shape: SHAPE }] });
  const { staging, work } = upload(session, { seed: 1, sparse: true }, 5);
  work.next();
  const replaced = await restore(registry, session.id, checkpointOf(session));
  const before = stateOf(replaced);
  toEnd(work);
  assert.equal(codeOf(() => session.applyGradients(staging, APPLY)), "run_replaced");
  assert.equal(codeOf(() => session.patchOptimizer({ learning_rate: 1 })), "run_replaced");
  assert.equal(codeOf(() => session.setWeights([])), "run_replaced");
  staging.release();
  assert.deepEqual(stateOf(replaced), before);
});
