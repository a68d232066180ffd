/**
 * Constants in users' formulas: number literals, and what is computed of them alone, must be finite as float32.
 *
 * It is asked where a formula comes in with a request, not where formulas are read: what earlier versions stored stays
 * readable. Formulas were checked otherwise before (user_formula.ts).
 */
import { type Expression, type Line, parseFormula } from "../../../kernels/language/formula_syntax.ts";
import { flush } from "../../../kernels/language/flush.ts";
import type { Expander } from "../../../kernels/language/op_row.ts";
import { OPS } from "../../../kernels/language/ops.ts";
import { type Issue, refusal } from "../../errors.ts";
import { join } from "./issues.ts";
import type { Config, Member } from "./family.ts";

/** Computes with values in place of nodes. */
const VALUES: Expander = {
  number: Math.fround,
  apply: (op, ...args) => valueOf(op, args),
};

/** As scalars are computed: subnormal results become 0 (kernels/compiler/scalars.ts). */
function valueOf(op: string, [a = 0, b = 0, c = 0]: readonly number[]): number {
  const row = OPS.get(op);
  return row?.expand ? row.expand(VALUES, a, b, c) : flush(row?.evaluate?.(a, b, c) ?? 0);
}

interface Found {
  readonly value: number;
  readonly column: number;
}

/** The value of an expression without names, or the first part of it that is not finite. */
function constantOf(expression: Expression, found: Found[]): number | undefined {
  const { kind, column } = expression;
  if (kind === "name") return undefined;
  const args = kind === "call" ? expression.args.map((arg) => constantOf(arg, found)) : [];
  if (args.some((arg) => arg === undefined)) return undefined;
  const value = kind === "call" ? valueOf(expression.op, args as number[]) : Math.fround(expression.value);
  if (Number.isFinite(value)) return value;
  found.push({ value, column });
  return undefined;
}

function firstIn({ expression, number }: Line): (Found & { readonly number: number }) | undefined {
  const found: Found[] = [];
  constantOf(expression, found);
  return found[0] && { ...found[0], number };
}

/** The issues of lists of lines, or of single expressions, by path. */
export function constantIssues(
  lists: Readonly<Record<string, readonly string[] | string>>,
): Issue[] {
  return Object.entries(lists).flatMap(([path, given]) => {
    const isOne = typeof given === "string", target = "rate = ";
    const lines = parseFormula(isOne ? [`${target}${given}`] : given);
    return lines.flatMap((line) => {
      const found = firstIn(line);
      if (!found) return [];
      const column = isOne
        ? `column ${found.column - target.length}`
        : `line ${line.number}, column ${found.column}`;
      const message = `has a constant that becomes ${found.value} in float32 (${column}), must be finite`;
      return [{ path: isOne ? path : `${path}.${line.number - 1}`, message }];
    });
  });
}

/** Throws invalid_config for a constant in the formulas of a part that is not finite. */
export function assertFiniteConstants(
  { member, config }: { readonly member: Pick<Member, "formulas">; readonly config: Config },
  { action, path }: { readonly action: string; readonly path: string },
): void {
  const lists = Object.fromEntries(
    (member.formulas ?? []).map((key) => [join(path, "config", key), config[key] as string | string[]]),
  );
  const [issue] = constantIssues(lists);
  if (issue) throw refusal("invalid_config", action, issue.path, issue.message);
}
