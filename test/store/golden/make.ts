/**
 * Makes a data folder beside this file that later versions must be able to read: `deno run --allow-all
 * test/store/golden/make.ts`. A new format gets a new folder. An existing folder is never remade.
 */
import { runCompiled } from "../../../kernels/compiler/runner.ts";
import { Registry } from "../../../src/run/registry/registry.ts";
import { openStore } from "../../../src/store/open_store.ts";
import { type Change, make } from "../../run/support/changing.ts";
import { SPARSE_SIGNUM } from "../../support/signum.ts";
import { golden } from "../support/golden.ts";
import { specOf } from "../../run/support/variants.ts";

const FOLDER = new URL("format-2/", import.meta.url).pathname;

const step = (seed: number, more: Partial<Change & { do: "step" }> = {}): Change => ({
  do: "step",
  seed,
  special: false,
  forms: [
    { form: "dense", dtype: "F32" },
    { form: "sparse", dtype: "F16" },
    { form: "sparse", dtype: "BF16" },
    { form: "null", dtype: "F32" },
    { form: "dense", dtype: "F64" },
  ],
  hyperparameters: undefined,
  key: seed,
  dryRun: false,
  ...more,
});
const patch = (config: Readonly<Record<string, unknown>>): Change => ({ do: "patch", config });

/** Every kind of record, on both sides of a snapshot. */
const BEFORE: readonly Change[] = [
  step(1),
  step(2, { hyperparameters: { learning_rate: 0.3 } }),
  patch({ amsgrad: true, clipnorm: 0.5 }),
];
const BEHIND: readonly Change[] = [
  step(3, { special: true }),
  { do: "variables", seed: 4, count: 3, dtype: "BF16" },
  patch({
    learning_rate: { class_name: "CosineDecay", config: { initial_learning_rate: 0.2, decay_steps: 9 } },
  }),
  { do: "weights", seed: 5, iterations: 6 },
  step(7),
];

const RUNS = {
  adam: { class_name: "Adam", config: { learning_rate: 0.1 } },
  nadam: { class_name: "Nadam", config: {} },
  ftrl: { class_name: "Ftrl", config: { learning_rate: -0 } },
};

await Deno.mkdir(FOLDER);
const store = await openStore({ folder: `${FOLDER}data`, kv: "", newId: () => "golden" });
let ids = 0;
const registry = await Registry.open({
  runsMax: 10,
  memoryBytesMax: 2 ** 28,
  runner: runCompiled,
  now: () => new Date("2025-01-31T12:00:00Z"),
  newId: () => `incarnation-${ids++}`,
  drawSeed: () => 7,
  store,
  journalBytesMax: 0,
});
await registry.optimizers.register(SPARSE_SIGNUM);
for (const [id, optimizer] of Object.entries(RUNS)) {
  const spec = specOf({ optimizer }, { non_finite: "propagate" });
  await registry.create({ ...spec, id }, { key: `create-${id}`, hash: "hash", at: 0 });
  for (const change of BEFORE) await make(registry, id, change);
}
await registry.sweep({ idleMs: 1e12 });
const expected: string[] = [];
for (const id of Object.keys(RUNS)) {
  for (const change of BEHIND) await make(registry, id, change);
  await registry.lease(id).durable();
  expected.push(golden(registry.get(id)));
}
await Deno.writeTextFile(`${FOLDER}expected.jsonl`, `${expected.join("\n")}\n`);
// The record that was being written when the process died.
await make(registry, "adam", step(8));
await registry.lease("adam").durable();
store.configs.close();
const path = `${store.folder}/incarnation-0/journal-1.log`;
await Deno.truncate(path, (await Deno.stat(path)).size - 5);
await Deno.remove(`${FOLDER}data/reserve`);
