/** Integers and booleans for variables of role "average" and as values: exact, or refused. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { WireDtype } from "../../../src/tensor.ts";
import { codeOf, open, refusal, variablesOf } from "../support/harness.ts";

const ARRAYS = {
  I8: { array: Int8Array, all: fc.integer({ min: -128, max: 127 }).map(BigInt) },
  U8: { array: Uint8Array, all: fc.integer({ min: 0, max: 255 }).map(BigInt) },
  BOOL: { array: Uint8Array, all: fc.integer({ min: 0, max: 1 }).map(BigInt) },
  I32: { array: Int32Array, all: fc.bigInt({ min: -(2n ** 31n), max: 2n ** 31n - 1n }) },
  I64: { array: BigInt64Array, all: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) },
} as const;
type Dtype = keyof typeof ARRAYS;

function bytesOf(dtype: Dtype, values: readonly bigint[]): Uint8Array {
  const { array } = ARRAYS[dtype];
  const typed = array === BigInt64Array
    ? BigInt64Array.from(values)
    : new (array as typeof Int32Array)(values.map(Number));
  return new Uint8Array(typed.buffer);
}

/** Near the places where float32 and float64 begin to round, and anywhere. */
const around = fc.tuple(
  fc.constantFrom(24, 25, 30, 31, 52, 53, 54, 62, 63),
  fc.integer({ min: -70, max: 70 }),
  fc.boolean(),
)
  .map(([bits, off, isNegative]) => (isNegative ? -1n : 1n) * (2n ** BigInt(bits)) + BigInt(off));
const fits = (dtype: Dtype) => {
  const bits = { I8: 7n, U8: 8n, BOOL: 1n, I32: 31n, I64: 63n }[dtype];
  const least = dtype === "U8" || dtype === "BOOL" ? 0n : -(2n ** bits);
  return (value: bigint) => value >= least && value < 2n ** bits;
};

Deno.test("integers of every dtype are taken exactly or refused at the first that float32 cannot hold", async () => {
  const session = await open({
    optimizer: "SGD",
    variables: [{ name: "w", shape: [] }, { name: "n", shape: [2, 3], role: "average" }],
  });
  const parts = fc.constantFrom(...Object.keys(ARRAYS) as Dtype[]).chain((dtype) =>
    fc.record({
      dtype: fc.constant(dtype),
      values: fc.array(
        dtype.startsWith("I") && dtype !== "I8"
          ? fc.oneof(around.filter(fits(dtype)), ARRAYS[dtype].all)
          : ARRAYS[dtype].all,
        { minLength: 6, maxLength: 6 },
      ),
      size: fc.integer({ min: 1, max: 50 }),
      kind: fc.constantFrom("gradients" as const, "values" as const),
    })
  );
  fc.assert(
    fc.property(parts, ({ dtype, values, size, kind }) => {
      const bytes = bytesOf(dtype, values);
      const odd = values.findIndex((value) => BigInt(Math.fround(Number(value))) !== value);
      using staging = session.stage(kind);
      const receive = () => {
        const sink = staging.dense("n", { dtype, shape: [2, 3] });
        for (let at = 0; at < bytes.length; at += size) sink.write(bytes.subarray(at, at + size));
        sink.close();
      };
      if (odd >= 0) {
        const { code, message } = refusal(receive);
        assert.equal(code, "invalid_number");
        assert.ok(message.includes(`holds ${values[odd]} at [${Math.floor(odd / 3)}, ${odd % 3}]`), message);
        return;
      }
      receive();
      if (kind === "values") session.setVariables(staging);
      else {
        session.stage("gradients").release();
        const sink = staging.dense("w", { dtype: "F32", shape: [] });
        sink.write(new Uint8Array(4));
        sink.close();
        session.applyGradients(staging, { aggregate: true, dryRun: false });
      }
      assert.deepEqual(variablesOf(session)["n"], values.map((value) => Number(value)));
    }),
    { numRuns: 500 },
  );
});

Deno.test("integers are no gradients, and a boolean is 0 or 1", async () => {
  const session = await open({ optimizer: "SGD", variables: [{ name: "w", shape: [2] }] });
  for (const dtype of Object.keys(ARRAYS) as Dtype[]) {
    using staging = session.stage("gradients");
    assert.equal(
      codeOf(() => staging.dense("w", { dtype: dtype as WireDtype, shape: [2] })),
      "dtype_mismatch",
    );
  }
  using staging = session.stage("values");
  const sink = staging.dense("w", { dtype: "BOOL", shape: [2] });
  const { message } = refusal(() => sink.write(Uint8Array.of(1, 2)));
  assert.match(message, /holds 2 at \[1\], must hold 0 or 1/);
});
