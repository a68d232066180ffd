/**
 * Whatever happens to a file of the database or to another file beside the runs: the start lists every run as it is, or
 * refuses with one line, and no folder of a run goes away.
 */
import assert from "node:assert/strict";
import { runCompiled } from "../../kernels/compiler/runner.ts";
import { Registry } from "../../src/run/registry/registry.ts";
import { ConfigStore } from "../../src/store/kv.ts";
import { openStore } from "../../src/store/open_store.ts";
import { random } from "../kernels/support/special.ts";
import { step } from "../run/support/harness.ts";
import { GRADIENT, lasting, request, SMALL } from "../run/support/stored.ts";

const IDS = ["first", "second", "third"] as const;
const DEFINITION = { class_name: "Mine", dense: ["w = w - g"] };
/** How many bytes of each file are tried, besides its first and last. */
const PLACES = 24;

let ids = 0;
const newId = () => `id-${ids++}`;

async function open(folder: string): Promise<{ registry: Registry; configs: ConfigStore }> {
  const store = await openStore({ folder, kv: "", newId });
  const registry = await Registry.open({
    runsMax: 100,
    memoryBytesMax: 2 ** 30,
    runner: runCompiled,
    now: () => new Date(0),
    newId,
    drawSeed: () => 7,
    store,
  }).catch((error) => {
    store.configs.close();
    throw error;
  });
  return { registry, configs: store.configs };
}

/** The folder of a process that was killed: three runs, and an optimizer that one of them has. */
async function made(folder: string, ids: readonly string[] = IDS) {
  const { registry, configs } = await open(folder);
  await registry.optimizers.register(DEFINITION);
  const specs = ids.map((id, at) => ({ ...SMALL, ...at === 0 && { optimizer: "Mine" }, id }));
  const [first, ...others] = specs;
  if (first) await registry.create(first, { key: "key", hash: "h", at: 0 });
  await copyFolder(folder, `${folder}-older`);
  for (const spec of others) await registry.create(spec);
  for (const id of ids) await request(registry, id, (session) => step(session, GRADIENT));
  const states = ids.map((id) => lasting(registry.get(id)));
  await copyFolder(folder, `${folder}-killed`);
  configs.close();
  return states;
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

interface Harm {
  readonly what: string;
  act(path: string, other: { readonly older: string; readonly foreign: string }): Promise<void>;
}

const flip = (at: number, bit: number): Harm => ({
  what: `bit ${bit} of byte ${at} flipped`,
  act: async (path) => {
    const bytes = await Deno.readFile(path);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
    await Deno.writeFile(path, bytes);
  },
});

const copyOf = (from: string, path: string) =>
  Deno.copyFile(from, path).catch(async (error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    await Deno.remove(path);
  });

function harmsOf(bytes: number): Harm[] {
  const next = random(bytes);
  // The header, and what has been written last.
  const places = [
    0,
    18,
    20,
    28,
    60,
    100,
    bytes - 1,
    ...Array.from({ length: PLACES }, () => Math.floor(next() * bytes)),
  ];
  return [
    ...[...new Set(places)].filter((at) => at >= 0 && at < bytes).map((at) =>
      flip(at, Math.floor(next() * 8))
    ),
    ...[0, 1, 99, bytes >> 1, bytes - 1].filter((end) => end >= 0 && end < bytes).map((end): Harm => ({
      what: `cut to ${end} bytes`,
      act: (path) => Deno.truncate(path, end),
    })),
    { what: "removed", act: (path) => Deno.remove(path) },
    { what: "an older copy", act: (path, { older }) => copyOf(older, path) },
    { what: "that of another folder", act: (path, { foreign }) => copyOf(foreign, path) },
  ];
}

Deno.test({
  name: "any harm to a file beside the runs: all runs are there, or the start is refused with one line",
  // The process holds the locks until it ends.
  sanitizeResources: false,
  fn: async () => {
    const scratch = await Deno.makeTempDir();
    const own = `${scratch}/own`, foreign = `${scratch}/foreign`;
    const states = await made(own);
    await made(foreign, ["strange"]);
    const folders = [...Deno.readDirSync(`${own}-killed/runs`)].map(({ name }) => name).sort();
    const files = [...Deno.readDirSync(`${own}-killed`)].filter(({ isFile }) => isFile).map(({ name }) =>
      name
    );
    assert.deepEqual(files.sort(), ["kv.sqlite", "kv.sqlite-shm", "kv.sqlite-wal", "lock", "reserve"]);
    let refused = 0, opened = 0;
    for (const file of files) {
      for (const { what, act } of harmsOf(Deno.statSync(`${own}-killed/${file}`).size)) {
        const folder = `${scratch}/harmed`, about = `${file}: ${what}`;
        await copyFolder(`${own}-killed`, folder);
        await act(`${folder}/${file}`, {
          older: `${own}-older/${file}`,
          foreign: `${foreign}-killed/${file}`,
        });
        const found = await open(folder).catch((error: Error) => error);
        if (found instanceof Error) {
          refused += 1;
          assert.doesNotMatch(found.message, /\n/, about);
          // Only what says whose the folder is can be so wrong.
          assert.ok(file === "lock" || what === "that of another folder", `${about}: ${found.message}`);
        } else {
          opened += 1;
          const { registry, configs } = found;
          assert.deepEqual(IDS.map((id) => lasting(registry.get(id))), states, about);
          await request(registry, "second", (session) => step(session, GRADIENT));
          assert.equal(registry.optimizers.family.members.at(-1)?.class_name, "Mine", about);
          configs.close();
        }
        const left = [...Deno.readDirSync(`${folder}/runs`)].map(({ name }) => name).sort();
        assert.deepEqual(left, folders, about);
        await Deno.remove(folder, { recursive: true });
      }
    }
    assert.ok(opened > 100 && refused > 0, `${opened} opened, ${refused} refused`);
    await Deno.remove(scratch, { recursive: true });
  },
});
