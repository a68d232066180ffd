/**
 * Writes every file, or part of one, that derives from the code: the OpenAPI documents and the tables of the README and of
 * docs/. With `--check` writes nothing, and exits 1 when a file is stale. Not part of the service.
 */
import { formulasTables } from "./formulas_tables.ts";
import { lossesTables } from "./losses_tables.ts";
import { type Table, withTables } from "./markdown_tables.ts";
import { openapiDocuments } from "./openapi_documents.ts";
import { readmeTables } from "./readme_tables.ts";

const ROOT = new URL("../", import.meta.url);

/** A new page with tables gets a line here. */
const PAGES: ReadonlyMap<string, () => ReadonlyMap<string, Table>> = new Map([
  ["README.md", readmeTables],
  ["docs/formulas.md", formulasTables],
  ["docs/losses.md", lossesTables],
]);

/** The texts that files should have, by path from the root, where they have others. */
export function staleFiles(): ReadonlyMap<string, string> {
  const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));
  const pages = [...PAGES].map(([path, tables]) => {
    try {
      return [path, withTables(read(path), tables())] as const;
    } catch (cause) {
      throw new Error(`Cannot generate ${path}`, { cause });
    }
  });
  return new Map([...openapiDocuments(), ...pages].filter(([path, text]) => read(path) !== text));
}

if (import.meta.main) {
  const stale = staleFiles();
  if (Deno.args.includes("--check")) {
    for (const path of stale.keys()) console.error(`${path} is stale: run \`deno task generate\``);
    if (stale.size > 0) Deno.exit(1);
  } else {
    for (const [path, text] of stale) Deno.writeTextFileSync(new URL(path, ROOT), text);
  }
}
