/**
 * Documents keep their word: links lead to files and headings, names of files name files, and no file, comments included,
 * cites a document or a path that is not here.
 */
import assert from "node:assert/strict";
import { dirname, join } from "node:path/posix";

const ROOT = new URL("../", import.meta.url);
/** What git ignores, or brings along. */
const FOREIGN = /^(\.git|\.bench|node_modules|data)$/;

/** Paths from the root. */
function* filesBelow(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(`./${folder}`, ROOT))) {
    if (folder === "" && FOREIGN.test(name)) continue;
    if (isDirectory) yield* filesBelow(`${folder}${name}/`);
    else yield `${folder}${name}`;
  }
}

const files = [...filesBelow("")];
const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));
const pages = new Map(files.filter((path) => path.endsWith(".md")).map((path) => [path, read(path)]));

/** As GitHub names the places of headings. */
function headingsOf(page: string): string[] {
  const place = (line: string) => line.toLowerCase().replaceAll(/[^\p{L}\w -]/gu, "").replaceAll(" ", "-");
  return [...page.replaceAll(/^```[^]*?^```/gm, "").matchAll(/^#+ (.*)$/gm)].map(([, line = ""]) =>
    place(line)
  );
}

/** Every link of a page that leads nowhere. */
function brokenLinks(path: string, page: string): string[] {
  const targets = [...page.replaceAll(/^```[^]*?^```/gm, "").matchAll(/\]\(([^)\s]+)\)/g)].map((
    [, target = ""],
  ) => target);
  return targets.filter((target) => {
    if (/^(https?|mailto):/.test(target)) return false;
    const [file = "", heading] = target.split("#");
    const to = file === "" ? path : join(dirname(path), file);
    const isThere = files.some((each) => each === to || each.startsWith(`${to.replace(/\/$/, "")}/`));
    return !isThere || (heading !== undefined && !headingsOf(pages.get(to) ?? "").includes(heading));
  }).map((target) => `${path} → ${target}`);
}

Deno.test("links of documents lead to files and headings when they are local", () => {
  assert.ok(pages.size > 15);
  assert.deepEqual([...pages].flatMap(([path, page]) => brokenLinks(path, page)), []);
});

/** Documents about the code itself. What they name as a file or a folder is one; `_test.ts` is an ending. */
const ABOUT_CODE = /^((ARCHITECTURE|CONTRIBUTING)\.md$|docs\/(architecture|decisions)\/)/;

/** Whether a name, perhaps without the folders before it, is that of a file or a folder. */
const isNamed = (name: string) =>
  files.some((path) =>
    name.endsWith("/") ? `/${path}`.includes(`/${name}`) : `/${path}`.endsWith(`/${name}`)
  );

Deno.test("documents about the code name files that exist", () => {
  const names = [...pages].filter(([path]) => ABOUT_CODE.test(path)).flatMap(([path, page]) =>
    [...page.matchAll(/`(?!_)([\w./-]*\w(?:\/|\.[a-z]+))`/g)].map(([, name = ""]) => ({ path, name }))
  );
  assert.ok(names.length > 150);
  const missing = names.filter(({ name }) => !isNamed(name));
  assert.deepEqual(missing.map(({ path, name }) => `${path}: ${name}`), []);
});

/** Every cited name that matches, with the file that cites it. */
function cited(pattern: RegExp): { path: string; name: string }[] {
  const citing = files.filter((path) => /\.(ts|py|md|c)$|^(Dockerfile|deno\.json|\.ci\/run)$/.test(path));
  assert.ok(citing.length > 500);
  return citing.flatMap((path) =>
    [...read(path).replaceAll(/https?:\S+/g, "").matchAll(pattern)]
      .map(([name]) => ({ path, name: name.replace(/^(\.{1,2}\/)+/, "") }))
  );
}

Deno.test("no file cites a document that is not here", () => {
  const missing = cited(/[\w./-]*\w\.md\b/g).filter(({ name }) => !isNamed(name));
  assert.deepEqual(missing, []);
});

Deno.test("no file cites a path of the code that is not here", () => {
  const isPath = /^(kernels|src|routes|test|tools|bench|examples)\//;
  const missing = cited(/[\w./-]*\w\.(ts|py)\b/g).filter(({ name }) => isPath.test(name) && !isNamed(name));
  assert.deepEqual(missing, []);
});
