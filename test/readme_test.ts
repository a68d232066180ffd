/**
 * README and ARCHITECTURE are correct: tables equal the definitions, links and names exist. readme_tour_test.ts runs
 * the commands of the README's tour. `UPDATE_README=1 deno task test test/readme_test.ts && deno fmt README.md`
 * rewrites the tables.
 */
import assert from "node:assert/strict";
import { holdTables } from "./support/markdown_tables.ts";
import { readmeTables } from "./support/readme_tables.ts";

const ROOT = new URL("../", import.meta.url);
const README = new URL("README.md", ROOT);
const text = Deno.readTextFileSync(README);

Deno.test("README's tables equal the definitions, cell by cell", () => {
  holdTables(README, readmeTables());
});

Deno.test("README's bounds equal those of the goldens", () => {
  const folder = new URL("test/golden/", ROOT);
  const bounds = new Set<number>();
  let absolute = 0;
  for (const { name } of Deno.readDirSync(folder)) {
    // The references of beyond.json are not TensorFlow's legacy optimizers.
    if (!name.endsWith(".json") || name === "beyond.json") continue;
    const file = JSON.parse(Deno.readTextFileSync(new URL(name, folder))) as {
      cases?: { bound: { relative?: number; absolute?: number } }[];
    };
    for (const { bound } of file.cases ?? []) {
      if (bound.relative !== undefined) bounds.add(bound.relative);
      absolute = Math.max(absolute, bound.absolute ?? 0);
    }
  }
  const section = /^## Numbers\n([^]*?)^## /m.exec(text)?.[1] ?? "";
  const shown = [...section.matchAll(/\| (\d+e-\d+)( absolute)? +\|\n/g)].map(([, value, kind]) => ({
    value: Number(value),
    kind: kind === undefined ? "relative" : "absolute",
  }));
  const valuesOf = (kind: string) =>
    shown.filter((bound) => bound.kind === kind).map(({ value }) => value).sort();
  assert.deepEqual(valuesOf("relative"), [...bounds].sort());
  assert.deepEqual(valuesOf("absolute"), [absolute]);
});

Deno.test("README's local links lead to files and headings", () => {
  const heading = (line: string) => line.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-");
  const headings = new Set([...text.matchAll(/^#+ (.*)$/gm)].map(([, line = ""]) => heading(line)));
  for (const [, target = ""] of text.matchAll(/\]\(([^)]+)\)/g)) {
    if (target.startsWith("#")) assert.ok(headings.has(target.slice(1)), `no heading for ${target}`);
    else if (!target.startsWith("https:")) assert.ok(Deno.statSync(new URL(target, ROOT)), target);
  }
});

/** Paths of files from the root, without hidden ones. */
function* filesBelow(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
    if (name.startsWith(".") && name !== ".ci") continue;
    if (isDirectory) yield* filesBelow(`${folder}${name}/`);
    else yield `/${folder}${name}`;
  }
}

Deno.test("ARCHITECTURE names only files that exist", () => {
  const files = [...filesBelow("./")].map((path) => path.replace("/./", "/"));
  const architecture = Deno.readTextFileSync(new URL("ARCHITECTURE.md", ROOT));
  const names = [...architecture.matchAll(/`([\w./-]+(?:\/|\.[a-z]+))`/g)].map(([, name = ""]) => name);
  assert.ok(names.length > 40);
  const isThere = (name: string) =>
    files.some((path) => name.endsWith("/") ? path.startsWith(`/${name}`) : path.endsWith(`/${name}`));
  assert.deepEqual(names.filter((name) => !isThere(name)), []);
});
