/**
 * Generates every file, or part of a file, that derives from the code: the OpenAPI documents and the tables of the
 * README and of docs/. With `--check` it writes nothing, and exits with 1 when a file is stale. Not part of the
 * service.
 */
import { formulasTables } from "./formulas_tables.ts";
import { lossesTables } from "./losses_tables.ts";
import { type Table, withTables } from "./markdown_tables.ts";
import { openapiDocuments } from "./openapi_documents.ts";
import { readmeTables } from "./readme_tables.ts";

const ROOT = new URL("../", import.meta.url);

/** All pages with generated tables, and the functions that make them. */
const PAGES: ReadonlyMap<string, () => ReadonlyMap<string, Table>> = new Map([
  ["README.md", readmeTables],
  ["docs/formulas.md", formulasTables],
  ["docs/losses.md", lossesTables],
]);

/** The expected texts of stale files, by path from the root. */
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
