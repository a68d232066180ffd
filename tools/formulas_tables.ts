/** The tables of docs/formulas.md, from the ops that the compiler of formulas reads and the members of conventions. Part of generate.ts. */
import { REDUCTIONS } from "../kernels/language/formula_reductions.ts";
import { OPS } from "../kernels/language/ops.ts";
import { catalog } from "../src/families/catalog.ts";
import { code } from "./cells.ts";
import { slots } from "./readme_tables.ts";
import type { Table } from "./markdown_tables.ts";

/** The tables by the name in the comment `<!-- table: name -->` above each. */
export function formulasTables(): ReadonlyMap<string, Table> {
  return new Map([["functions", functions()], ["conventions", conventions()]]);
}

function conventions(): Table {
  return [
    ["module", "optimizer", "slots", "whose rule"],
    ...catalog().optimizers.flatMap((member) =>
      member.module === undefined
        ? []
        : [[code(member.module), code(member.class_name), slots(member), member.description]]
    ),
  ];
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
