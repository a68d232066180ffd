/** The table of docs/formulas.md, out of the ops that the compiler of formulas reads. Part of generate.ts. */
import { OPS, REDUCTIONS } from "../kernels/language/ops.ts";
import { code } from "./cells.ts";
import type { Table } from "./markdown_tables.ts";

/** By the name in the `<!-- table: name -->` above each. */
export function formulasTables(): ReadonlyMap<string, Table> {
  return new Map([["functions", functions()]]);
}

function functions(): Table {
  const shown = (
    name: string,
    { symbol, arity, meaning }: { symbol?: string; arity: number; meaning: string },
  ) => {
    const args = ["a", "b", "c"].slice(0, arity);
    if (name === "where") return ["`where(x < y, a, b)`", meaning];
    if (name === "clamp") return ["`clamp(x, low, high)`", meaning];
    const form = symbol
      ? arity === 1 ? `${symbol}a` : args.join(` ${symbol} `)
      : `${name}(${args.join(", ")})`;
    return [code(form), meaning];
  };
  return [
    ["form", "what it gives"],
    ...[...OPS].map(([name, row]) => shown(name, row)),
    ...[...REDUCTIONS].map(([name, { meaning }]) => shown(name, { arity: 1, meaning })),
  ];
}
