/**
 * The op table: one row per function or operator of the formula language, with operators in operators.ts and functions
 * in element_functions.ts. Parser, type rules, interpreter, emitter and the tests over all ops read this table and have
 * no list of their own.
 *
 * `evaluate` is the law, the reference: its result is a float32 (or, for a comparison, 1 or 0), rounded once. `emit`
 * does the same on four lanes; its arguments are cheap to repeat. A row with `expand` is defined by other ops.
 */
import { call, type Code, f32x4 } from "../wasm/wasm.ts";
import { ELEMENT_FUNCTIONS } from "./element_functions.ts";
import type { OpRow } from "./op_row.ts";
import { OPERATORS } from "./operators.ts";

export const OPS: ReadonlyMap<string, OpRow> = new Map(
  Object.entries({ ...OPERATORS, ...ELEMENT_FUNCTIONS }),
);

/** The host functions a kernel may import, by op name. */
export function hostFunctions(): Record<string, (a: number, b: number) => number> {
  const functions: Record<string, (a: number, b: number) => number> = {};
  for (const [name, row] of OPS) {
    const { evaluate } = row;
    if (row.host && evaluate) functions[name] = (a, b) => evaluate(a, b, 0);
  }
  return functions;
}

/** Calls a host function on `lanes` lanes, one call per lane. `index` is its place among the kernel's imports. */
export function emitHostCall(index: number, operands: readonly Code[], lanes: 1 | 4): Code {
  const lane = (n: number) => call(index, ...operands.map((operand) => f32x4.extract(n, operand)));
  const first = f32x4.splat(lane(0));
  return lanes === 1
    ? first
    : [1, 2, 3].reduce<Code>((vector, n) => f32x4.replace(n, vector, lane(n)), first);
}
