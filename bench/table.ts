/**
 * Rows as text for a terminal. The JSON file is not written here: it holds the rows themselves.
 */
import type { Row } from "./row.ts";

const COLUMNS = [34, 30, 12, 9, 8, 15] as const;

export function showHead(): string {
  return line(["work", "against", "figure", "goal", "verdict", "p20-p80"], "ours / rival, remarks") +
    "\n" + "-".repeat(140);
}

export function showRow(row: Row): string {
  const figure = row.figure === null ? "-" : `${showFigure(row.figure)} ${row.unit}`;
  const goal = row.goal === null ? "-" : `${row.goal.relation} ${row.goal.value}`;
  const spread = row.spread === undefined
    ? ""
    : `${row.spread.map(showFigure).join("-")}${row.comparison?.noisy ? " noisy" : ""}`;
  return line([row.work, row.against, figure, goal, row.verdict, spread], row.note);
}

function showFigure(value: number): string {
  return value >= 1000 ? value.toFixed(0) : value.toPrecision(3);
}

function line(cells: readonly string[], rest: string): string {
  return cells.map((cell, column) => cell.padEnd(COLUMNS[column] ?? 0)).join(" ") + " " + rest;
}
