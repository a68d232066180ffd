/** The benchmark's ratios, verdicts and yardsticks. */
import assert from "node:assert/strict";
import { checkEqual, compare, comparePairs, type Contender, quantile } from "../../bench/harness.ts";
import { sameBytes, TRAFFIC } from "../../bench/rivals/same_bytes.ts";
import { judge, ratioRow } from "../../bench/row.ts";

const OPTIONS = { rounds: 31, burstMs: 1, tries: 3 };

/**
 * A contender that costs `us` an operation, times a factor that changes between calls like a busy machine's speed.
 */
function contender(us: number, wander: (call: number) => number, log: string[] = []): Contender {
  let calls = 0;
  return {
    name: `${us} µs`,
    cost(count) {
      log.push(String(us));
      calls += 1;
      return us * count * wander(calls);
    },
  };
}

Deno.test("compare() finds a known ratio when both contenders drift alike", async () => {
  let now = 0;
  const drift = () => 1 + 0.002 * now++;
  const { ratio, p20, p80, noisy } = await compare(contender(100, drift), contender(125, drift), OPTIONS);
  assert.ok(Math.abs(ratio - 1.25) < 0.005, `ratio ${ratio}`);
  assert.ok(p20 <= ratio && ratio <= p80);
  assert.equal(noisy, false);
});

Deno.test("compare() reports noise after all its tries when the paired ratios spread", async () => {
  const log: string[] = [];
  const jumpy = contender(100, (call) => call % 8 < 4 ? 1 : 1.5, log);
  const { noisy } = await compare(jumpy, contender(100, () => 1), { ...OPTIONS, rounds: 5 });
  assert.equal(noisy, true);
  assert.ok(log.length >= 3 * 5 * 2, `${log.length} bursts`);
});

Deno.test("compare() swaps the order of the contenders in each round", async () => {
  const log: string[] = [];
  await compare(contender(1, () => 2000, log), contender(2, () => 2000, log), {
    rounds: 2,
    burstMs: 1,
    tries: 1,
  });
  assert.deepEqual(log.slice(-8).join(""), "12212112");
});

Deno.test("comparePairs() returns the median over pairs that are created one after the other", async () => {
  const made: number[] = [];
  // A random factor for each pair.
  const luck = [1, 1.02, 0.98, 1];
  const comparison = await comparePairs(4, (n) => {
    made.push(n);
    return Promise.resolve({
      ours: contender(100, () => 1),
      rival: contender(100, () => luck[n] as number),
    });
  }, OPTIONS);
  assert.deepEqual(made, [0, 1, 2, 3]);
  assert.ok(Math.abs(comparison.ratio - 1) < 1e-9, `ratio ${comparison.ratio}`);
  assert.ok(comparison.p20 < 0.995 && comparison.p80 > 1.005);
  assert.equal(comparison.noisy, false);
});

Deno.test("quantile() interpolates between its neighbours", () => {
  assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
  assert.equal(quantile([7], 0.2), 7);
});

Deno.test("checkEqual() throws when one element is off by more than the tolerance, or is NaN", () => {
  const wanted = new Float32Array([1, 2]);
  checkEqual("equal", new Float32Array([1, 2]), wanted);
  assert.throws(() => checkEqual("off", new Float32Array([1, 2.0001]), wanted), /element 1/);
  checkEqual("near", new Float32Array([1, 2.0001]), wanted, 1e-4);
  assert.throws(() => checkEqual("NaN", new Float32Array([NaN, 2]), wanted, 1), /element 0/);
  assert.throws(() => checkEqual("short", new Float32Array(1), wanted), /1 elements/);
});

Deno.test("judge() calls a goal met only when the pessimistic end of the spread meets it", () => {
  assert.equal(judge(null, 1), "no goal");
  assert.equal(judge({ relation: "≥", value: 4 }, 5, 4), "met");
  assert.equal(judge({ relation: "≥", value: 4 }, 5, 3.9), "noisy");
  assert.equal(judge({ relation: "≥", value: 4 }, 3.9, 3), "missed");
  assert.equal(judge({ relation: "≤", value: 1.2 }, 1.1, 1.3), "noisy");
});

Deno.test("ratioRow() inverts figure and spread when the row shows a cost", () => {
  const comparison = { ratio: 0.8, p20: 0.5, p80: 1, noisy: true, oursUs: 10, rivalUs: 8 };
  const row = ratioRow("work", "rival", comparison, { as: "cost", goal: { relation: "≤", value: 1.5 } });
  assert.deepEqual([row.figure, row.spread, row.verdict], [1.25, [1, 2], "noisy"]);
});

Deno.test("sameBytes() changes every element of a written array when it steps", () => {
  for (const [name, traffic] of Object.entries(TRAFFIC)) {
    const mover = sameBytes(traffic, 1000);
    const before = mover.values();
    mover.step();
    const moved = mover.values().filter((value, i) => !Object.is(value, before[i])).length;
    assert.equal(moved, traffic.writes > 0 ? 1000 : 0, name);
  }
});
