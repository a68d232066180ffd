import assert from "node:assert/strict";
import { Descriptors, isExhausted } from "../src/descriptors.ts";

/** A process with so many free descriptors. */
class Limited {
  open = 0;
  constructor(public max: number) {}

  readonly take = (): Disposable => {
    if (this.open >= this.max) throw new Error("Too many open files (os error 24)");
    this.open += 1;
    return { [Symbol.dispose]: () => void (this.open -= 1) };
  };
}

Deno.test("Descriptors holds a reserve, gives it away, and builds it again as a whole or not at all", () => {
  const limited = new Limited(400);
  const descriptors = new Descriptors(limited.take);
  descriptors.look();
  assert.equal(limited.open, 50);
  assert.deepEqual([descriptors.journalsMax, descriptors.waitingMax], [100, 200]);
  assert.equal(descriptors.giveWay(), true);
  assert.equal(descriptors.giveWay(), false);
  assert.equal(limited.open, 0);
  limited.open = 351;
  assert.equal(descriptors.hold(), false);
  assert.equal(limited.open, 351);
  limited.open = 350;
  assert.equal(descriptors.hold(), true);
  assert.equal(descriptors.hold(), true);
  assert.equal(limited.open, 400);
});

Deno.test("Descriptors bounds nothing but the open journals when there are many descriptors", () => {
  const descriptors = new Descriptors(new Limited(1e6).take);
  descriptors.look();
  assert.deepEqual([descriptors.journalsMax, descriptors.waitingMax], [1024, Infinity]);
});

Deno.test("isExhausted() knows the error of the system, and no other", () => {
  assert.equal(isExhausted(new Error("Too many open files (os error 24): open 'x'")), true);
  for (const error of [new Error("No space left (os error 28)"), new Error("(os error 2)"), "EMFILE"]) {
    assert.equal(isExhausted(error), false);
  }
});
