/**
 * Tables in Markdown pages that derive from the code: each stands below a line `<!-- table: name -->`. Writes them as
 * `deno fmt` would, so that a page can be compared as a whole. Knows no page and no file.
 */

/** Rows of cells; the first row is the head. */
export type Table = readonly (readonly string[])[];

const TABLE = /(?<=^<!-- table: ([\w -]+) -->\n\n)(?:\|.*\n)*/gm;

/** The page's text with these tables. Throws unless the page has a place for each and no other places. */
export function withTables(page: string, tables: ReadonlyMap<string, Table>): string {
  const places = [...page.matchAll(TABLE)].map(([, name = ""]) => name);
  const missing = [...tables.keys()].filter((name) => !places.includes(name));
  const strange = places.filter((name, at) => !tables.has(name) || places.indexOf(name) !== at);
  if (missing.length + strange.length > 0) {
    throw new Error(
      `Cannot write tables: the page has no place for [${missing}], and one too many for [${strange}]`,
    );
  }
  return page.replaceAll(TABLE, (_, name) => markdownOf(tables.get(name) ?? []));
}

function markdownOf(table: Table): string {
  const cells = table.map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = (cells[0] ?? []).map((_, column) =>
    // Three dashes are the shortest line below a head.
    Math.max(3, ...cells.map((row) => [...row[column] ?? ""].length))
  );
  const line = (row: readonly string[]) => `| ${row.join(" | ")} |\n`;
  const padded = cells.map((row) =>
    line(row.map((cell, column) => cell + " ".repeat((widths[column] ?? 0) - [...cell].length)))
  );
  const [head = "", ...rows] = padded;
  return [head, line(widths.map((width) => "-".repeat(width))), ...rows].join("");
}
