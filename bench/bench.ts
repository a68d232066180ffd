/**
 * What a benchmark is: a name to pick it by and the rows that it yields as it goes. The list of all stands in
 * main.ts.
 */
import type { CompareOptions } from "./harness.ts";
import type { Native } from "./rivals/native.ts";
import type { Row } from "./row.ts";

export interface Context {
  readonly compare: CompareOptions;
  /** A short look: fewer rounds, smaller sizes where a size is the cost. */
  readonly quick: boolean;
  /** Native C, null when no compiler is at hand. */
  readonly native: Native | null;
  /** Element counts of the dense rows. */
  readonly counts: readonly number[];
}

export interface Benchmark {
  /** `deno task bench -- <name>` runs this one alone. */
  readonly name: string;
  rows(context: Context): AsyncIterable<Row>;
}
