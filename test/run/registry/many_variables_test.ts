/** Runs of many variables come back from the disk as they were, whoever wrote their snapshots. */
import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { readRunFile, writeRunFile } from "../../../src/store/run_file.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { numbers, setVariables, step, tensor } from "../support/harness.ts";
import { lasting, newWorld, request, type World } from "../support/stored.ts";

const COUNT = 1500;
const NAMES = Array.from({ length: COUNT }, (_, n) => n % 5 === 0 ? `"${n}"},{"ü` : `layer/${n % 7}/v${n}`);
const SPEC = {
  id: "many",
  optimizer: { class_name: "Adam", config: { learning_rate: 0.1 } },
  variables: NAMES.map((name, n) => ({
    name,
    shape: n % 3 === 0 ? [] : [1 + n % 3],
    initial: n,
    ...n % 11 === 0 && n % 13 !== 1 && { constraint: { class_name: "NonNeg", config: {} } },
    ...n % 13 === 1 && { role: "average" as const },
  })),
};
const valuesOf = (n: number, seed: number) => {
  const { shape } = SPEC.variables[n] as typeof SPEC.variables[number];
  const size = shape[0] ?? 1;
  return shape.length === 0 ? numbers(1, { seed })[0] : tensor(shape, numbers(size, { seed }));
};
const optimized = NAMES.map((_, n) => n).filter((n) => !("role" in (SPEC.variables[n] as object)));
const some = (ns: readonly number[], seed: number) =>
  Object.fromEntries(ns.map((n) => [NAMES[n] as string, valuesOf(n, seed + n)]));

/** Changes whose records have long lists, and others. */
const CHANGES: readonly ((session: Session) => unknown)[] = [
  (session) => step(session, some(optimized.filter((n) => n % 2 === 0).toReversed(), 1)),
  (session) => setVariables(session, some(NAMES.map((_, n) => n).filter((n) => n % 4 === 0), 2)),
  (session) => session.patchOptimizer({ amsgrad: true }),
  (session) => step(session, some(optimized, 3)),
  (session) =>
    session.setWeights([
      9,
      ...session.weights().tensors.map(({ shape, values }, n) => ({
        shape,
        values: Float32Array.from(numbers(values.length, { seed: n }), Math.abs),
      })),
    ]),
  (session) => step(session, some(optimized.filter((n) => n % 3 === 0), 4)),
];

const change = async (world: World, changes: typeof CHANGES) => {
  for (const each of changes) await request(world.registry, "many", each);
};

Deno.test("a run of many variables is the same after any restart", async () => {
  await using world = await newWorld();
  await using twin = await newWorld();
  for (const { registry } of [world, twin]) await registry.create(SPEC);
  for (const [n, each] of CHANGES.entries()) {
    for (const one of [world, twin]) await change(one, [each]);
    // Every other time there is a snapshot, otherwise a journal.
    if (n % 2 === 0) await world.registry.shutdown();
    await world.restart();
    assert.deepEqual(
      lasting(await world.registry.open("many")),
      lasting(twin.registry.get("many")),
      `after ${n}`,
    );
  }
});

/** The header of another writer: the same entries, last first or with spaces. */
const HEADERS: Readonly<Record<string, (text: string) => string>> = {
  "with spaces": (text) => text.replace('},"', '}, "'),
  "with the metadata last": (text) => {
    const { __metadata__, ...entries } = JSON.parse(text);
    return JSON.stringify({ ...entries, __metadata__ });
  },
  "in another order": (text) => {
    const { __metadata__, ...entries } = JSON.parse(text);
    return JSON.stringify({ __metadata__, ...Object.fromEntries(Object.entries(entries).toReversed()) });
  },
};

for (const [what, rewrite] of Object.entries(HEADERS)) {
  Deno.test(`a snapshot whose header is written ${what} is read all the same`, async () => {
    await using world = await newWorld();
    await world.registry.create(SPEC);
    await change(world, CHANGES.slice(0, 4));
    const wanted = lasting(world.registry.get("many"));
    await world.registry.shutdown();
    const { disk } = world;
    const path = disk.paths.findLast((path) => path.includes("snapshot")) as string;
    const folder = path.slice(0, path.lastIndexOf("/"));
    const bytes = disk.bytesOf(path), length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = new TextDecoder().decode(bytes.subarray(8, 8 + length)), other = rewrite(header.trimEnd());
    assert.notEqual(other, header.trimEnd());
    const encoded = new TextEncoder().encode(other);
    const changed = new Uint8Array(8 + encoded.length + bytes.length - 8 - length);
    new DataView(changed.buffer).setBigUint64(0, BigInt(encoded.length), true);
    changed.set(encoded, 8);
    changed.set(bytes.subarray(8 + length), 8 + encoded.length);
    disk.put(path, changed);
    const file = readRunFile(disk, folder);
    assert.ok(file);
    const [newest, ...others] = file.record.snapshots;
    assert.ok(newest && path.includes(`-${newest.generation}.`));
    const snapshots = [{ ...newest, bytes: changed.length, crc32: crc32(changed) }, ...others];
    await writeRunFile(disk, folder, { ...file, record: { ...file.record, snapshots } });
    await world.restart(disk);
    assert.deepEqual(lasting(await world.registry.open("many")), wanted);
  });
}
