/** Sums take contributions in pairs, which must not change the results. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Arena } from "../../../kernels/arena.ts";
import { flush } from "../../../kernels/language/flush.ts";
import { runCompiled, runInterpreted, type Runner } from "../../../kernels/compiler/runner.ts";
import { accumulate } from "../../../src/run/rounds/accumulator.ts";
import type { Session } from "../../../src/run/session/session.ts";
import type { RunState } from "../../../src/run/tensors/state.ts";
import { random, sameBits, SPECIAL } from "../../kernels/support/special.ts";
import { newRegistry, numbers, send, tensor } from "../support/harness.ts";

const { fround } = Math;

/** Special numbers, and small ones whose sums are often subnormal. */
function trickyNumbers(count: number, seed: number): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: count }, () => {
    if (next() < 1 / 4) return SPECIAL[Math.floor(next() * SPECIAL.length)] as number;
    return Math.round(64 * (next() - 0.5)) * 2 ** -130;
  });
}

Deno.test("accumulate() gives the bits of one addition after the other, however they are grouped", () => {
  const law = (
    { count, seed, factors, groups }: { count: number; seed: number; factors: number[]; groups: number[] },
  ) => {
    const arena = new Arena({ bytesMax: 2 ** 20 });
    const initial = trickyNumbers(count, seed);
    const given = factors.map((factor, n) => {
      const content = trickyNumbers(count, seed + n + 1), values = arena.allocate(4 * count);
      arena.f32(values, count).set(content);
      return { factor, values, content };
    });
    const wanted = initial.map((first, at) =>
      given.reduce((sum, { factor, content }) => {
        return flush(fround(sum + fround(fround(factor) * (content[at] as number))));
      }, first)
    );
    const to = arena.allocate(4 * count);
    for (const runner of [runCompiled, runInterpreted] as Runner[]) {
      for (const sizes of [groups, [1], [2], [given.length]]) {
        arena.f32(to, count).set(initial);
        for (let done = 0, n = 0; done < given.length; n++) {
          const size = sizes[n % sizes.length] as number;
          const addends = given.slice(done, done + size);
          accumulate({ state: { arena } as RunState, runner }, { to, count, addends });
          done += size;
        }
        assert.equal(sameBits(arena.f32(to, count), wanted), undefined, `groups of ${sizes}`);
      }
    }
  };
  const factor = fc.constantFrom(1, -1, 0.3, 2 ** -4, 0, -7);
  const cases = fc.record({
    count: fc.integer({ min: 0, max: 67 }),
    seed: fc.nat(),
    factors: fc.array(factor, { minLength: 1, maxLength: 5 }),
    groups: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5 }),
  });
  fc.assert(fc.property(cases, law), { numRuns: 100 });
});

const MEBIBYTE = 2 ** 20, COUNT = MEBIBYTE / 2, CLIENTS = 6;

/** A run of 2 MiB in limited memory, and the count of contributions in each pass over its sum. */
async function runIn(memoryBytesMax: number) {
  const passes: number[] = [];
  const runner: Runner = (arena, call) => {
    if ("g_0" in call.tensors) passes.push(Object.keys(call.tensors).length - 1);
    return runCompiled(arena, call);
  };
  const session = await newRegistry({ memoryBytesMax, runner }).create({
    optimizer: "SGD",
    variables: [{ name: "w", shape: [COUNT] }],
    aggregation: { mode: "round", quorum: CLIENTS, aggregator: "WeightedMean" },
  });
  return { session, passes };
}

/** Sends the same contribution each time. Returns some of the values after the step. */
function contributeAll(session: Session): ArrayLike<number | bigint> {
  const some = numbers(64, { seed: 1 });
  for (let n = 0; n < CLIENTS; n++) {
    const values = Float32Array.from(
      { length: COUNT },
      (_, at) => (some[at % 64] as number) * (at % 7 - n),
    );
    send(session, { w: tensor([COUNT], values) }, { weight: 1 + n / 3 });
  }
  assert.equal(session.iterations, 1);
  const rows = Array.from({ length: 1024 }, (_, n) => 509 * n);
  return session.gather("w", rows, { bytesMax: MEBIBYTE }).values;
}

Deno.test("a sum takes contributions in pairs, or one by one if memory is short, with the same bits", async () => {
  const roomy = await runIn(32 * MEBIBYTE), tight = await runIn(7 * MEBIBYTE);
  assert.deepEqual(contributeAll(tight.session), contributeAll(roomy.session));
  // The first becomes the sum; the last does not wait.
  assert.deepEqual(roomy.passes, [2, 2, 1]);
  assert.deepEqual(tight.passes, [1, 1, 1, 1, 1]);
});
