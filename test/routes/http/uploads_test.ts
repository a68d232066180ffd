/** Backpressure: places by count and bytes, first come first served, a refusal when the time is over. */
import assert from "node:assert/strict";
import { Uploads } from "../../../routes/http/uploads.ts";
import { assertRejects } from "../../wire/support/refusals.ts";

const settled = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("enter() lets as many in as there are places, and the next when one leaves", async () => {
  const uploads = new Uploads({ count: 2, bytes: 100, waitSeconds: 10 });
  const [first, second] = [await uploads.enter(1), await uploads.enter(1)];
  const order: string[] = [];
  const third = uploads.enter(1).then((leave) => (order.push("third"), leave));
  const fourth = uploads.enter(1).then((leave) => (order.push("fourth"), leave));
  await settled();
  assert.deepEqual([uploads.open, uploads.waiting, order], [2, 2, []]);
  first();
  const leaveThird = await third;
  assert.deepEqual([uploads.open, uploads.waiting, order], [2, 1, ["third"]]);
  second();
  (await fourth)();
  leaveThird();
  assert.deepEqual([uploads.open, uploads.waiting], [0, 0]);
});

Deno.test("enter() counts bytes, and reads a body beyond the bound alone", async () => {
  const uploads = new Uploads({ count: 10, bytes: 100, waitSeconds: 10 });
  const leaveLarge = await uploads.enter(1000);
  const small = uploads.enter(60);
  await settled();
  assert.equal(uploads.waiting, 1);
  leaveLarge();
  const leaveSmall = await small;
  const other = uploads.enter(60);
  await settled();
  assert.deepEqual([uploads.open, uploads.waiting], [1, 1]);
  leaveSmall();
  (await other)();
});

Deno.test("enter() keeps the order even when a later body would fit", async () => {
  const uploads = new Uploads({ count: 10, bytes: 100, waitSeconds: 10 });
  const leave = await uploads.enter(60);
  const large = uploads.enter(100);
  const small = uploads.enter(1);
  await settled();
  assert.deepEqual([uploads.open, uploads.waiting], [1, 2]);
  leave();
  (await large)();
  (await small)();
});

Deno.test("enter() refuses with busy when the time is over, and lets those behind pass", async () => {
  const uploads = new Uploads({ count: 10, bytes: 100, waitSeconds: 0.05 });
  const leave = await uploads.enter(60);
  const refused = assertRejects(
    "busy",
    /after 0.05 s 1 others with 60 bytes are being read, must leave room among 10 and 100 bytes/,
    () => uploads.enter(100),
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  const small = uploads.enter(1);
  await refused;
  (await small)();
  leave();
  assert.deepEqual([uploads.open, uploads.waiting], [0, 0]);
});
