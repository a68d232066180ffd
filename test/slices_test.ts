import assert from "node:assert/strict";
import { nextTurn, Slices } from "../src/slices.ts";

Deno.test("nextTurn() gives each turn of the event loop to one job, in order", async () => {
  const served: string[] = [];
  let turn = 0;
  const timer = setInterval(() => turn++, 0);
  const turns = new Set<number>();
  const job = async (name: string) => {
    for (let slice = 0; slice < 5; slice++) {
      await nextTurn();
      served.push(name);
      turns.add(turn);
    }
  };
  await Promise.all([job("a"), job("b"), job("c")]);
  clearInterval(timer);
  assert.deepEqual(served, Array.from({ length: 5 }, () => ["a", "b", "c"]).flat());
  assert(turns.size > 5, `other timers ran between ${turns.size} slices`);
});

Deno.test("Slices counts work and begins anew after each slice", () => {
  const slices = new Slices();
  const ends = Array.from({ length: 10 }, () => slices.isOver(4_000_000));
  assert.deepEqual(ends, [false, false, true, false, false, true, false, false, true, false]);
});
