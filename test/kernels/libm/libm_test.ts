/**
 * Tests of the float32 functions against glibc's results, which libm/make.py recorded, and of the arithmetic below.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { cos, exp, log, pow } from "../../../kernels/libm/mod.ts";
import { fusedMultiplyAdd } from "../../../kernels/libm/float64.ts";

interface Answers {
  readonly arguments: readonly string[];
  readonly results: string;
}

const FUNCTIONS: Readonly<Record<string, (...args: number[]) => number>> = {
  pow: (x, y) => pow(x as number, y as number),
  exp: (x) => exp(x as number),
  log: (x) => log(x as number),
  cos: (x) => cos(x as number),
};

const recorded = JSON.parse(
  Deno.readTextFileSync(new URL("libm.json", import.meta.url)),
) as Record<string, Answers>;

const floats = (base64: string) => new Float32Array(Uint8Array.fromBase64(base64).buffer);

for (const [name, compute] of Object.entries(FUNCTIONS)) {
  const { arguments: columns, results } = recorded[name] as Answers;
  const args = columns.map(floats), wanted = floats(results);
  Deno.test(`${name}() has the bits of ${name}f at ${wanted.length} arguments`, () => {
    const failures: string[] = [];
    wanted.forEach((want, n) => {
      const row = args.map((column) => column[n] as number);
      const got = compute(...row);
      if (!Object.is(got, want)) failures.push(`${name}(${row.join(", ")}) = ${want}, found ${got}`);
    });
    assert.equal(failures.length, 0, `${failures.length} differ:\n${failures.slice(0, 20).join("\n")}`);
  });
}

const SCALE_BITS = 800;

/** value · 2^SCALE_BITS, exact for a float64 whose last bit is worth 2^-SCALE_BITS or more. */
function scaled(value: number): bigint {
  let exponent = 0;
  for (; !Number.isInteger(value); exponent++) value *= 2;
  return BigInt(value) << BigInt(SCALE_BITS - exponent);
}

Deno.test("fusedMultiplyAdd() rounds the exact a·b + c once", () => {
  const number = fc.tuple(fc.maxSafeInteger(), fc.integer({ min: -80, max: -20 })).map(([m, e]) =>
    m * 2 ** e
  );
  const factor = fc.integer({ min: -(2 ** 30), max: 2 ** 30 }).map((m) => m / 2 ** 29);
  fc.assert(
    fc.property(number, number, number, factor, (a, b, c, share) => {
      for (const addend of [c, a * b * share, -a * b]) {
        const exact = ((scaled(a) * scaled(b)) >> BigInt(SCALE_BITS)) + scaled(addend);
        // Number() of a bigint rounds to nearest, ties to even. The sign of zero is not tested.
        const wanted = Number(exact) * 2 ** -SCALE_BITS;
        assert.ok(fusedMultiplyAdd(a, b, addend) === wanted, `${a} * ${b} + ${addend} = ${wanted}`);
      }
    }),
    { numRuns: 500 },
  );
});
