/** Tests of medians and trimmed means, bit for bit against their law; nothing else may be touched. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Arena } from "../../../kernels/arena.ts";
import { meanOfRanks, scratchBytes } from "../../../kernels/routines/order.ts";
import { meanOfRanksLaw } from "./support/order_law.ts";
import { fillSpecial, random, sameBits } from "../support/special.ts";

const GUARD = 0x5ca1ab1e;
/** The number of words of a region that may be touched: kernels work in vectors of four. */
const padded = (count: number) => 4 * Math.ceil(count / 4);

interface Tensors {
  readonly arena: Arena;
  readonly inputs: readonly number[];
  readonly count: number;
}

/** Tensors with ordinary and special numbers, or with the values of `next` if it is given. */
function tensors(inputCount: number, count: number, seed: number, next?: () => number): Tensors {
  const arena = new Arena({ bytesMax: 1 << 26 });
  const inputs = Array.from({ length: inputCount }, (_, n) => {
    const offset = arena.allocate(4 * count);
    if (next) arena.f32(offset, count).forEach((_, at, all) => all[at] = next());
    else fillSpecial(arena, { offset, count, type: "f32", seed: seed + n });
    return offset;
  });
  return { arena, inputs, count };
}

const read = ({ arena, inputs, count }: Tensors) => inputs.map((offset) => arena.f32(offset, count).slice());

function ranked(given: Tensors, { from, to }: { from: number; to: number }): Float32Array {
  const { arena, inputs, count } = given;
  const guarded = (bytes: number) => {
    const offset = arena.allocate(bytes + 64);
    arena.i32(offset, bytes / 4 + 16).fill(GUARD);
    return offset;
  };
  const words = scratchBytes(inputs.length) / 4;
  const result = guarded(4 * padded(count)), scratch = guarded(4 * words);
  const before = read(given);
  meanOfRanks(arena, { inputs, result, count, scratch, from, to });
  const behind = [arena.i32(result + 4 * padded(count), 16), arena.i32(scratch + 4 * words, 16)];
  assert(behind.every((guard) => guard.every((word) => word === GUARD)), "guard words");
  read(given).forEach((values, n) => {
    assert.equal(sameBits(values, before[n] as Float32Array), undefined, `tensor ${n} is only read`);
  });
  return arena.f32(result, count).slice();
}

function check(given: Tensors, ranks: { from: number; to: number }): void {
  const difference = sameBits(ranked(given, ranks), meanOfRanksLaw(read(given), ranks));
  const { inputs, count } = given;
  assert.equal(
    difference,
    undefined,
    `ranks ${ranks.from}..${ranks.to} of ${inputs.length} × ${count}: ${difference}`,
  );
}

const median = (inputCount: number) => ({ from: (inputCount - 1) >> 1, to: (inputCount >> 1) + 1 });

Deno.test("meanOfRanks() equals its law on 1 to 40 tensors of 0 to 67 elements", () => {
  for (let inputCount = 1; inputCount <= 40; inputCount++) {
    // Few tensors are tested at all lengths; more tensors at every fifth, so that together they cover all lengths.
    for (let count = inputCount <= 5 ? 0 : inputCount % 5; count <= 67; count += inputCount <= 5 ? 1 : 5) {
      check(tensors(inputCount, count, 100 * inputCount + count), median(inputCount));
    }
  }
});

Deno.test("meanOfRanks() equals its law at any ranks on elements that repeat or differ by one bit", () => {
  const few = [1, 1 + 2 ** -23, 1 - 2 ** -24, -1, 0, -0, 2 ** -149, -(2 ** -140), 3.4028234663852886e38, NaN];
  const inputs = fc.integer({ min: 1, max: 40 });
  const properties = fc.property(inputs, fc.nat(), fc.nat(), fc.nat(67), fc.nat(), (n, a, b, count, seed) => {
    const [from, to] = [Math.min(a % n, b % n), Math.max(a % n, b % n) + 1];
    const next = random(seed);
    const pick = () => next() < 0.5 ? few[Math.floor(next() * few.length)] as number : next() - 0.5;
    check(tensors(n, count, seed, pick), { from, to });
  });
  fc.assert(properties, { numRuns: 120 });
});

Deno.test("meanOfRanks() equals its law on more tensors than one kernel sorts", () => {
  for (const inputCount of [127, 128, 129, 160, 161, 200, 300]) {
    for (const count of [0, 1, 67, 131, 259]) {
      const given = tensors(inputCount, count, inputCount + count);
      check(given, median(inputCount));
      if (count === 67) check(given, { from: 7, to: inputCount - 9 });
      if (count === 1) check(given, { from: 0, to: inputCount });
    }
  }
});

Deno.test("meanOfRanks() gives the same bits for any order of the tensors", () => {
  const inputs = fc.oneof(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 129, max: 140 }));
  fc.assert(
    fc.property(inputs, fc.nat(), fc.nat(30), fc.nat(), fc.nat(), (n, cut, count, seed, shuffle) => {
      const given = tensors(n, count, seed);
      const next = random(shuffle);
      const places = given.inputs.map((offset) => ({ offset, key: next() })).sort((a, b) => a.key - b.key);
      const from = cut % (n >> 1), ranks = { from, to: n - from };
      const shuffled = { ...given, inputs: places.map(({ offset }) => offset) };
      assert.equal(sameBits(ranked(given, ranks), ranked(shuffled, ranks)), undefined);
    }),
    { numRuns: 60 },
  );
});

Deno.test("meanOfRanks() neither overflows nor drifts on extreme values", () => {
  const top = Math.fround(3.4028234663852886e38);
  const values = new Map([[top, top], [0.1, Math.fround(0.1)], [-top, -top]]);
  for (const [value, wanted] of values) {
    for (const inputCount of [2, 3, 40, 130]) {
      const given = tensors(inputCount, 5, 0, () => value);
      assert.deepEqual([...ranked(given, { from: 0, to: inputCount })], Array(5).fill(wanted));
    }
  }
});
