/** A start with a journal that ends within a record. */
import assert from "node:assert/strict";
import { random } from "../kernels/support/special.ts";
import { gradientsCall } from "./support/bodies.ts";
import { digestOf, getCall, textOf } from "./support/calls.ts";
import { deliver } from "./support/clients.ts";
import { create } from "./support/passer_by.ts";
import { PASSING } from "./support/plans.ts";
import { newWorld, stageOf, withFolder } from "./support/scene.ts";
import { Server } from "./support/server.ts";

/** Sizes of all journals, by path. */
function* journals(folder: string): Generator<[string, number]> {
  for (const { name: run } of Deno.readDirSync(`${folder}/runs`)) {
    for (const { name } of Deno.readDirSync(`${folder}/runs/${run}`)) {
      const path = `runs/${run}/${name}`;
      if (name.startsWith("journal-")) yield [path, Deno.statSync(`${folder}/${path}`).size];
    }
  }
}

Deno.test("service starts with a torn tail: the step in it is dropped, and can be taken again", () =>
  withFolder(async (folder) => {
    const before = `${folder}/before`;
    await using first = new Server({ STEPWELL_DATA: before });
    const stage = stageOf(first), world = newWorld(), next = random(7);
    await first.start();
    first.open();
    const life = await create(stage, world, { id: "demo", plan: PASSING });
    const step = (key: string) =>
      gradientsCall(next, {
        plan: PASSING,
        path: `${life.path}/gradients`,
        headers: { "Idempotency-Key": key },
        fields: {},
      });
    for (const key of ["a", "b", "c"]) await deliver(stage, step(key));
    const kept = await deliver(stage, getCall(`${life.path}/checkpoint`));
    const whole = new Map(journals(before));
    const last = step("d");
    const answer = textOf(await deliver(stage, last));
    const torn = [...journals(before)].filter(([path, bytes]) => whole.get(path) !== bytes);
    await first.end("SIGKILL");
    assert.equal(torn.length, 1);
    const [[path, end] = ["", 0]] = torn;
    const start = whole.get(path) ?? 0;
    for (
      const [bytes, zeros] of [[start + 1, 0], [start + 40, 0], [end - 1, 0], [
        start + 50,
        end - start - 50,
      ]] as const
    ) {
      const copy = `${folder}/copy`;
      await copyFolder(before, copy);
      await Deno.truncate(`${copy}/${path}`, bytes);
      await Deno.truncate(`${copy}/${path}`, bytes + zeros);
      await using server = new Server({ STEPWELL_DATA: copy });
      await server.start();
      server.open();
      const found = await server.send(getCall(`${life.path}/checkpoint`));
      assert.equal(found.version, 3, textOf(found));
      assert.equal(digestOf(found.body), digestOf(kept.body));
      const again = await server.send(last);
      assert.equal(again.replayed, false);
      assert.equal(textOf(again), answer);
      await server.end("SIGKILL");
      await Deno.remove(copy, { recursive: true });
    }
  }));

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}
