/** Stragglers and hostile clients of the example of rounds. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  attacked,
  type Behaviour,
  behaviours,
  changeOf,
  type Federation,
} from "../../examples/federated_digits/behaviour.ts";
import { randomStream } from "../../examples/federated_digits/random.ts";

const federations = fc.record({
  clients: fc.integer({ min: 1, max: 40 }),
  stragglers: fc.integer({ min: 0, max: 50 }).map((percent) => percent / 100),
  hostile: fc.integer({ min: 0, max: 50 }).map((percent) => percent / 100),
  attack: fc.constant("noise" as const),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
});

const countOf = (found: readonly Behaviour[], wanted: readonly Behaviour[]) =>
  found.filter((each) => wanted.includes(each)).length;

Deno.test("behaviours() returns the requested shares, and the same hostile clients in every round", () => {
  fc.assert(fc.property(federations, fc.nat(1000), (federation: Federation, iteration) => {
    const found = behaviours(federation, iteration);
    const { clients, stragglers, hostile } = federation;
    assert.equal(found.length, clients);
    assert.equal(countOf(found, ["hostile"]), Math.floor(clients * hostile));
    assert.equal(countOf(found, ["late", "stale", "gone"]), Math.floor(clients * stragglers));
    assert.deepEqual(behaviours(federation, iteration), found);
    const isHostile = (each: Behaviour) => each === "hostile";
    assert.deepEqual(behaviours(federation, iteration + 1).map(isHostile), found.map(isHostile));
  }));
});

Deno.test("behaviours() makes every client a straggler in some of many rounds", () => {
  const federation = { clients: 10, stragglers: 0.3, hostile: 0, attack: "noise", seed: 1 } as const;
  const rounds = Array.from({ length: 100 }, (_, iteration) => behaviours(federation, iteration));
  for (let client = 0; client < 10; client += 1) {
    const seen = new Set(rounds.map((found) => found[client]));
    assert.deepEqual([...seen].sort(), ["gone", "late", "prompt", "stale"], `client ${client}`);
  }
});

Deno.test("attacked() reverses and enlarges the change, or replaces it by a constant", () => {
  const tensors = (...values: number[]) =>
    new Map([["w", { shape: [values.length], values: new Float32Array(values) }]]);
  const before = tensors(1, 2, 3), after = tensors(1.5, 2, 2);
  const sent = (attack: Federation["attack"]) =>
    changeOf(before, attacked(before, after, attack, () => 0)).get("w")?.values;
  assert.deepEqual(sent("sign_flip"), new Float32Array([-5, 0, 10]));
  assert.deepEqual(sent("constant"), new Float32Array([100, 100, 100]));
});

Deno.test("attacked() adds noise with a deviation of 1000", () => {
  const values = new Float32Array(10_000);
  const weights = new Map([["w", { shape: [values.length], values }]]);
  const noise = [...attacked(weights, weights, "noise", randomStream(1)).get("w")?.values ?? []];
  const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length;
  const deviation = Math.sqrt(noise.reduce((sum, value) => sum + value ** 2, 0) / noise.length);
  assert.ok(Math.abs(mean) < 50 && Math.abs(deviation - 1000) < 50, `mean ${mean}, deviation ${deviation}`);
});
