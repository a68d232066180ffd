/** Aggregators that weigh contributions by their losses. */
import assert from "node:assert/strict";
import { contribute, open, refusal, step, variablesOf } from "../support/harness.ts";

const specOf = (aggregator: object, more: object = {}) => ({
  optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
  variables: [{ name: "w", shape: [2] }],
  aggregation: { mode: "round" as const, quorum: 2, aggregator, ...more },
});

const qFedAvg = (config: object) => ({ class_name: "QFedAvg", config });
const CLIENTS = [{ g: [3, 4], loss: 2, weight: 1 }, { g: [-1, 0], loss: 0.5, weight: 3 }] as const;

/** The variables after a round of all clients, from 0 at rate 1. */
async function stepped(aggregator: object, more: object = {}): Promise<number[]> {
  const session = await open(specOf(aggregator, more));
  for (const { g, ...claims } of CLIENTS) contribute(session, { w: g }, claims);
  assert.equal(session.iterations, 1);
  return variablesOf(session)["w"] as number[];
}

const near = (given: number[], wanted: number[]) =>
  given.forEach((x, n) => assert.ok(Math.abs(x - (wanted[n] as number)) < 1e-5, `${given} ${wanted}`));

Deno.test("QFedAvg is the formula of the paper", async () => {
  for (const [q, lipschitz, clip] of [[1, 1, null], [2, 10, null], [0.5, 0.1, null], [1, 1, 2]] as const) {
    const sums = [0, 0];
    let divisor = 0;
    for (const { g, loss, weight } of CLIENTS) {
      const norm = Math.hypot(...g), factor = clip === null ? 1 : Math.min(1, clip / norm);
      const c = weight * loss ** q;
      g.forEach((x, n) => sums[n] = (sums[n] as number) - c * factor * x);
      divisor += c + weight * q * loss ** (q - 1) * lipschitz * (factor * norm) ** 2;
    }
    near(await stepped(qFedAvg({ q, lipschitz }), { client_clipnorm: clip }), sums.map((x) => x / divisor));
  }
});

Deno.test("QFedAvg with q = 0 is the weighted mean, bit for bit", async () => {
  assert.deepEqual(await stepped(qFedAvg({ q: 0 })), await stepped({ class_name: "WeightedMean" }));
});

Deno.test("a Formula weighs by the loss", async () => {
  const weight = "weight / (1 + loss)";
  near(await stepped({ class_name: "Formula", config: { weight } }), [
    -(3 / 3 - 2) / (1 / 3 + 2),
    -(4 / 3) / (7 / 3),
  ]);
});

Deno.test("an aggregator that reads the loss refuses a contribution without a fitting one", async () => {
  for (
    const [aggregator, unfit] of [
      [qFedAvg({}), [undefined, -1, 1e39, "NaN", "Infinity"]],
      [{ class_name: "Formula", config: { weight: "exp(-loss)" } }, [undefined, 1e39, "-Infinity"]],
    ] as const
  ) {
    const session = await open(specOf(aggregator));
    for (const loss of unfit) {
      const { code, issues } = refusal(() => contribute(session, { w: [1, 1] }, { loss }));
      assert.deepEqual([code, issues[0]?.path], ["invalid_request", "loss"]);
    }
    assert.equal(session.round().accepted, 0);
  }
  const session = await open(specOf({ class_name: "Formula", config: { weight: "weight" } }));
  contribute(session, { w: [1, 1] });
  assert.equal(step(session, { w: [1, 1] }).applied, true);
});
