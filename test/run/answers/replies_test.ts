/** Answers to keyed requests: how many are kept and for how long, and that a crash does not change them. */
import assert from "node:assert/strict";
import type { StepAnswer } from "../../../src/run/api/steps.ts";
import { Replies } from "../../../src/run/answers/replies.ts";
import { codeOf, step } from "../support/harness.ts";
import { GRADIENT, newWorld, request, SMALL } from "../support/stored.ts";

const HOUR = 3600 * 1000;

const answer = (version: number, names: readonly string[] = ["w"]): StepAnswer => ({
  applied: true,
  iterations: version,
  version,
  learning_rate: 0.1,
  gradient_norm: 1,
  clip_factor: 1,
  contributions: 1,
  variables: Object.fromEntries(names.map((name) => [name, { gradient_norm: 1 }])),
  warnings: ["one"],
});

const keysOf = (replies: Replies) => replies.all.map(({ key }) => Number(key));
const add = (replies: Replies, n: number, at: number, names?: readonly string[]) =>
  replies.add({ key: String(n), hash: "h", at }, answer(n, names));

Deno.test("Replies keeps the newest thousand however old they are", () => {
  const replies = new Replies();
  for (let n = 0; n < 1500; n++) add(replies, n, n * HOUR);
  assert.deepEqual(keysOf(replies), Array.from({ length: 1000 }, (_, n) => n + 500));
});

Deno.test("Replies keeps older keys for a day", () => {
  const replies = new Replies();
  for (let n = 0; n < 4800; n++) add(replies, n, n * HOUR / 100);
  // One every 36 seconds makes 2,400 per day, and one exactly a day old.
  assert.deepEqual(keysOf(replies), Array.from({ length: 2401 }, (_, n) => n + 2399));
});

Deno.test("Replies is bounded: long answers are dropped before a day is over, but never one of the newest thousand", () => {
  const replies = new Replies();
  const names = Array.from({ length: 150 }, (_, n) => `layer-${n}/kernel`);
  for (let n = 0; n < 3000; n++) add(replies, n, 0, names);
  assert.deepEqual(keysOf(replies), Array.from({ length: 1000 }, (_, n) => n + 2000));
  assert.deepEqual(replies.find({ key: "2999", hash: "h" }), answer(2999, names));
  const short = new Replies();
  for (let n = 0; n < 40_000; n++) add(short, n, 0);
  const { length } = keysOf(short);
  assert.ok(length > 15_000 && length < 40_000, String(length));
});

Deno.test("Replies keeps a very long answer without the figures of its variables", () => {
  const replies = new Replies();
  const names = Array.from({ length: 10_000 }, (_, n) => `layer-${n}/kernel`);
  add(replies, 7, 0, names);
  assert.deepEqual(replies.find({ key: "7", hash: "h" }), { ...answer(7, []), warnings: [] });
});

Deno.test("Replies.find() distinguishes requests, and acquireKey() takes a key once", () => {
  const replies = new Replies();
  add(replies, 1, 0);
  assert.deepEqual(replies.find({ key: "1", hash: "h" }), answer(1));
  assert.equal(replies.find({ key: "2", hash: "h" }), undefined);
  assert.equal(codeOf(() => replies.find({ key: "1", hash: "other" })), "key_reused");
  const first = replies.acquireKey("1");
  assert.equal(codeOf(() => replies.acquireKey("1")), "key_in_progress");
  replies.acquireKey("2");
  first.release();
  replies.acquireKey("1");
});

Deno.test("a run forgets the same keys whether it was replayed or not", async () => {
  await using world = await newWorld();
  await world.registry.create(SMALL);
  const take = (n: number) =>
    request(
      world.registry,
      "small",
      (session) => step(session, GRADIENT, { key: { key: String(n), hash: "h", at: n * HOUR / 20 } }),
    );
  for (let n = 0; n < 1100; n++) await take(n);
  const before = world.registry.get("small").replies.all;
  assert.equal(before.length, 1000);
  assert.equal(before[0]?.key, "100");
  await world.restart();
  assert.deepEqual(world.registry.get("small").replies.all, before);
  await world.registry.shutdown();
  await world.restart();
  assert.deepEqual(world.registry.get("small").replies.all, before);
  await take(1100);
  await world.restart();
  assert.deepEqual(world.registry.get("small").replies.all.map(({ key }) => Number(key)).slice(0, 2), [
    101,
    102,
  ]);
});
