/**
 * Markdown tables that are generated from the code, each below a `<!-- table: name -->`. Tests compare the pages with
 * them. With UPDATE_README=1 they rewrite the pages instead; `deno fmt` sets the widths of columns.
 */
import assert from "node:assert/strict";

/** Rows of cells; the first row is the head. */
export type Table = readonly (readonly string[])[];

const TABLE = /(?<=^<!-- table: ([\w -]+) -->\n\n)(?:\|.*\n)*/gm;

/** The cells of a Markdown table; its second line only aligns. */
function cellsOf(markdown: string): string[][] {
  return markdown.trimEnd().split("\n").filter((_, line) => line !== 1).map((line) =>
    line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim())
  );
}

const escaped = (table: Table) => table.map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));

function markdownOf(table: Table): string {
  const [head = [], ...rows] = escaped(table).map((row) => `| ${row.join(" | ")} |\n`);
  return [head, `|${" - |".repeat(table[0]?.length ?? 0)}\n`, ...rows].join("");
}

/** Fails unless the page has exactly these tables with these cells. */
export function holdTables(page: URL, tables: ReadonlyMap<string, Table>): void {
  const text = Deno.readTextFileSync(page);
  if (Deno.env.get("UPDATE_README")) {
    Deno.writeTextFileSync(
      page,
      text.replaceAll(TABLE, (_, name) => markdownOf(tables.get(name) ?? []) + "\n"),
    );
    return;
  }
  const found = [...text.matchAll(TABLE)].map(([table, name]) => [name, cellsOf(table)]);
  assert.deepEqual(
    Object.fromEntries(found),
    Object.fromEntries([...tables].map(([name, table]) => [name, escaped(table)])),
  );
}
