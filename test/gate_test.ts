/** A gate: places by count and weight, in order of arrival, with refusals at once or when the time is over. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Gate } from "../src/gate.ts";
import type { Releasable } from "../src/releasable.ts";

const refusal = ({ count, weight }: { readonly count: number; readonly weight: number }) =>
  `Cannot enter: ${count} with ${weight}`;
const settled = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("acquire() admits as many as there are places, and the next when one is released", async () => {
  const gate = new Gate({ count: 2, weight: 100, refusal });
  const [first, second] = [await gate.acquire(1), await gate.acquire(1)];
  const order: string[] = [];
  const third = gate.acquire(1).then((place) => (order.push("third"), place));
  const fourth = gate.acquire(1).then((place) => (order.push("fourth"), place));
  await settled();
  assert.deepEqual([gate.open, gate.waiting, order], [2, 2, []]);
  first.release();
  const placeOfThird = await third;
  assert.deepEqual([gate.open, gate.waiting, order], [2, 1, ["third"]]);
  second.release();
  (await fourth).release();
  placeOfThird.release();
  assert.deepEqual([gate.open, gate.waiting], [0, 0]);
});

Deno.test("acquire() adds up weights, and admits one beyond the bound alone", async () => {
  const gate = new Gate({ count: 10, weight: 100, refusal });
  const heavy = await gate.acquire(1000);
  const light = gate.acquire(60);
  await settled();
  assert.equal(gate.waiting, 1);
  heavy.release();
  const place = await light;
  const other = gate.acquire(60);
  await settled();
  assert.deepEqual([gate.open, gate.waiting], [1, 1]);
  place.release();
  (await other).release();
});

Deno.test("acquire() keeps the order even when a later one would fit", async () => {
  const gate = new Gate({ count: 10, weight: 100, refusal });
  const place = await gate.acquire(60);
  const heavy = gate.acquire(100);
  const light = gate.acquire(1);
  assert.throws(() => gate.acquireNow(1), { code: "busy", message: "Cannot enter: 1 with 60" });
  await settled();
  assert.deepEqual([gate.open, gate.waiting], [1, 2]);
  place.release();
  (await heavy).release();
  (await light).release();
});

Deno.test("acquire() refuses with busy when the time is over, and admits those behind", async () => {
  const gate = new Gate({ count: 10, weight: 100, waitSeconds: 0.05, refusal });
  const place = await gate.acquire(60);
  const refused = assert.rejects(gate.acquire(100), { code: "busy", message: "Cannot enter: 1 with 60" });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const light = gate.acquire(1);
  await refused;
  (await light).release();
  place.release();
  assert.deepEqual([gate.open, gate.waiting], [0, 0]);
});

Deno.test("acquire() gives up when its signal is aborted, and admits those behind", async () => {
  const gate = new Gate({ count: 10, weight: 100, waitSeconds: 60, refusal });
  const place = await gate.acquire(60);
  const controller = new AbortController(), reason = new Error("The caller has gone");
  const heavy = gate.acquire(100, controller.signal);
  const light = gate.acquire(1);
  controller.abort(reason);
  await assert.rejects(heavy, reason);
  (await light).release();
  await assert.rejects(gate.acquire(1, controller.signal), reason);
  place.release();
  assert.deepEqual([gate.open, gate.waiting], [0, 0]);
});

Deno.test("a gate without places refuses all, and a place is released once", () => {
  assert.throws(() => new Gate({ count: 0, refusal }).acquireNow(), { code: "busy" });
  const gate = new Gate({ count: 2, refusal });
  const first = gate.acquireNow(), second = gate.acquireNow();
  first.release();
  first.release();
  assert.equal(gate.open, 1);
  {
    using _place = second;
  }
  assert.equal(gate.open, 0);
});

Deno.test("one client holds at most its share of places and weight; the others pass by", async () => {
  const gate = new Gate({ count: 4, weight: 100, share: 0.5, refusal });
  const enter = (client: string, weight = 0) => {
    const entry: { place?: Releasable } = {};
    gate.acquire(weight, undefined, client).then((place) => entry.place = place);
    return entry;
  };
  const slow = [enter("a"), enter("a"), enter("a"), enter("a")];
  const other = enter("b");
  await settled();
  assert.deepEqual(slow.map(({ place }) => place !== undefined), [true, true, false, false]);
  assert.ok(other.place);
  assert.deepEqual([gate.open, gate.waiting], [3, 2]);
  slow[0]!.place!.release();
  await settled();
  assert.ok(slow[2]!.place);
  assert.equal(slow[3]!.place, undefined);
  other.place.release();
  // By weight: 60 would be more than half, unless it is alone.
  const heavy = [enter("c", 30), enter("c", 30), enter("c", 1)], light = enter("d", 30);
  await settled();
  assert.deepEqual(heavy.map(({ place }) => place !== undefined), [true, false, false]);
  assert.ok(light.place);
  heavy[0]!.place!.release();
  await settled();
  assert.ok(heavy[1]!.place);
  assert.equal(heavy[2]!.place, undefined, "there is no fifth place");
});

/** A caller that asks for a place, and the outcome. */
interface Client {
  readonly weight: number;
  readonly controller: AbortController;
  state: "waiting" | "inside" | "outside";
  place?: Releasable;
}

const COUNT = 3, WEIGHT = 10;
const operations = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("acquire" as const), weight: fc.nat(15) }),
    fc.record({ kind: fc.constant("acquireNow" as const), weight: fc.nat(15) }),
    fc.record({ kind: fc.constantFrom("release" as const, "abort" as const), at: fc.nat(9) }),
  ),
  { maxLength: 40, size: "max" },
);

Deno.test("a gate keeps its bounds and the order of arrival, and forgets no caller", async () => {
  await fc.assert(fc.asyncProperty(operations, async (sequence) => {
    const gate = new Gate({ count: COUNT, weight: WEIGHT, refusal });
    /** In order of arrival. */
    const clients: Client[] = [];
    const having = (state: Client["state"]) => clients.filter((client) => client.state === state);
    const weightOf = (all: readonly Client[]) => all.reduce((sum, { weight }) => sum + weight, 0);
    const fits = (weight: number, inside = having("inside")) =>
      inside.length < COUNT && (inside.length === 0 || weightOf(inside) + weight <= WEIGHT);
    /** The model of the gate: admits the waiting in order. */
    const expected = () => {
      const inside = having("inside"), waiting = having("waiting");
      while (waiting[0] && fits(waiting[0].weight, inside)) inside.push(waiting.shift() as Client);
      return { inside, waiting };
    };
    const check = async (now: { inside: readonly Client[]; waiting: readonly Client[] }) => {
      assert.deepEqual([gate.open, gate.waiting], [now.inside.length, now.waiting.length]);
      await settled();
      assert.deepEqual(having("waiting"), now.waiting);
      assert.deepEqual(new Set(having("inside")), new Set(now.inside));
      assert.ok(gate.open <= COUNT && (gate.open === 1 || weightOf(having("inside")) <= WEIGHT));
    };
    const wait = (weight: number) => {
      const client: Client = { weight, controller: new AbortController(), state: "waiting" };
      clients.push(client);
      gate.acquire(weight, client.controller.signal).then((place) => {
        client.state = "inside";
        client.place = place;
      }, () => client.state = "outside");
    };
    const leave = (client: Client) => {
      client.state = "outside";
      client.place?.release();
    };
    for (const operation of sequence) {
      if (operation.kind === "acquire") wait(operation.weight);
      else if (operation.kind === "acquireNow") {
        const isFree = having("waiting").length === 0 && fits(operation.weight);
        const enter = () => gate.acquireNow(operation.weight);
        if (!isFree) assert.throws(enter, { code: "busy" });
        else {
          const { weight } = operation, controller = new AbortController();
          clients.push({ weight, controller, state: "inside", place: enter() });
        }
      } else if (operation.kind === "release") {
        const inside = having("inside"), client = inside[operation.at % inside.length];
        if (client) leave(client);
      } else {
        const waiting = having("waiting"), client = waiting[operation.at % waiting.length];
        client?.controller.abort();
        if (client) client.state = "outside";
      }
      await check(expected());
    }
    while (having("inside").length > 0) {
      having("inside").forEach(leave);
      await check(expected());
    }
    assert.deepEqual([gate.open, gate.waiting, having("waiting")], [0, 0, []]);
  }));
});
