/** What a row of the op table says (ops.ts). It has no rows. */
import type { Operator } from "./syntax.ts";
import type { Code } from "../wasm/wasm.ts";

/** Builds a node while another op is expanded. */
export interface Expander {
  number(value: number): number;
  apply(op: string, ...args: number[]): number;
}

export interface OpRow {
  readonly arity: number;
  /** Written between or before the operands, instead of `name(…)`; syntax.ts defines its precedence. */
  readonly symbol?: Operator;
  /** Comparisons give a mask, which only `where` accepts, as its first argument. */
  readonly mask?: true;
  readonly evaluate?: (a: number, b: number, c: number) => number;
  /** The same in float64, for numbers that are rounded later (doubles.ts); absent where `evaluate` rounds nothing. */
  readonly float64?: (a: number, b: number) => number;
  readonly emit?: (a: Code, b: Code, c: Code) => Code;
  /** Vectors that `emit` takes after its arguments; a kernel computes them once, before the elements. */
  readonly constants?: readonly Code[];
  /** So many of the first arguments make the result NaN or infinite whenever they are. */
  readonly keeps?: number;
  /** Takes a dozen cycles or more. */
  readonly slow?: true;
  /** A function of the host, called per lane: the same bits as `evaluate`, 50 to 80 ns per element. */
  readonly host?: true;
  readonly expand?: (to: Expander, a: number, b: number, c: number) => number;
  readonly meaning: string;
}
