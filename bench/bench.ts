/**
 * The interface of a benchmark: a name to select it by, and the rows that it yields as it runs. main.ts lists all
 * benchmarks.
 */
import type { CompareOptions } from "./harness.ts";
import type { Native } from "./rivals/native.ts";
import type { Row } from "./row.ts";

export interface Context {
  readonly compare: CompareOptions;
  /** A quick look: fewer rounds, and smaller sizes where the size is the cost. */
  readonly quick: boolean;
  /** Native C; null when there is no compiler. */
  readonly native: Native | null;
  /** Element counts of the dense rows. */
  readonly counts: readonly number[];
}

export interface Benchmark {
  /** `deno task bench -- <name>` runs only this benchmark. */
  readonly name: string;
  rows(context: Context): AsyncIterable<Row>;
}
