/**
 * README and ARCHITECTURE keep their word: tables say what the definitions say, links and names lead somewhere. The
 * commands of the README's tour are run by readme_tour_test.ts.
 * `UPDATE_README=1 deno task test test/readme_test.ts && deno fmt README.md` writes the tables anew.
 */
import assert from "node:assert/strict";

const ROOT = new URL("../", import.meta.url);
const README = new URL("README.md", ROOT);
const text = Deno.readTextFileSync(README);

Deno.test("README's bounds do equal those of the goldens when both are listed", () => {
  const folder = new URL("test/golden/", ROOT);
  const bounds = new Set<number>();
  let absolute = 0;
  for (const { name } of Deno.readDirSync(folder)) {
    // beyond.json has other references than TensorFlow's legacy optimizers.
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

Deno.test("README's links do lead to files and headings when they are local", () => {
  const heading = (line: string) => line.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-");
  const headings = new Set([...text.matchAll(/^#+ (.*)$/gm)].map(([, line = ""]) => heading(line)));
  for (const [, target = ""] of text.matchAll(/\]\(([^)]+)\)/g)) {
    if (target.startsWith("#")) assert.ok(headings.has(target.slice(1)), `no heading for ${target}`);
    else if (!target.startsWith("https:")) assert.ok(Deno.statSync(new URL(target, ROOT)), target);
  }
});

/** Paths of files from the root, without what is hidden. */
function* filesBelow(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
    if (name.startsWith(".") && name !== ".ci") continue;
    if (isDirectory) yield* filesBelow(`${folder}${name}/`);
    else yield `/${folder}${name}`;
  }
}

Deno.test("ARCHITECTURE does name files that exist when it names any", () => {
  const files = [...filesBelow("./")].map((path) => path.replace("/./", "/"));
  const architecture = Deno.readTextFileSync(new URL("ARCHITECTURE.md", ROOT));
  const names = [...architecture.matchAll(/`([\w./-]+(?:\/|\.[a-z]+))`/g)].map(([, name = ""]) => name);
  assert.ok(names.length > 40);
  const isThere = (name: string) =>
    files.some((path) => name.endsWith("/") ? path.startsWith(`/${name}`) : path.endsWith(`/${name}`));
  assert.deepEqual(names.filter((name) => !isThere(name)), []);
});
