/**
 * Merges lists of a variable's rows from sparse contributions: the result has distinct rows in order of first
 * occurrence, and each is the sum of its occurrences, added to zero in order.
 */
import type { Runner } from "../../../kernels/compiler/runner.ts";
import { findUnique, tableBytes } from "../../../kernels/routines/dedupe.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import type { RunState, VariableState } from "../tensors/state.ts";

export interface RowList {
  /** Byte offset of int32 row numbers. */
  readonly indices: number;
  readonly values: number;
  readonly rows: number;
}

/** Allocates the regions and owns them. */
export interface Allocator {
  allocate(bytes: number): number;
  release(offset: number): void;
}

/** Adds up lists of rows into regions of `allocator`. Throws out_of_memory and leaves nothing allocated. */
export function mergeRows(
  lists: readonly RowList[],
  { state: { arena }, variable, runner, allocator }: {
    readonly state: RunState;
    readonly variable: VariableState;
    readonly runner: Runner;
    readonly allocator: Allocator;
  },
): RowList {
  const total = lists.reduce((sum, { rows }) => sum + rows, 0);
  const { rowLength } = variable;
  using scratch = new DisposableStack();
  using merged = new DisposableStack();
  const allocate = (owner: DisposableStack, bytes: number) =>
    owner.adopt(allocator.allocate(bytes), (offset) => allocator.release(offset));
  const indices = allocate(scratch, 4 * total), ordinals = allocate(scratch, 4 * total);
  const unique = allocate(merged, 4 * total);
  const table = allocate(scratch, tableBytes(total));
  let at = 0;
  for (const list of lists) {
    arena.u8(indices + 4 * at, 4 * list.rows).set(arena.u8(list.indices, 4 * list.rows));
    at += list.rows;
  }
  const count = findUnique(arena, { indices, count: total, table, ordinals, unique });
  const sums = allocate(merged, 4 * count * rowLength);
  arena.f32(sums, count * rowLength).fill(0);
  at = 0;
  for (const { rows, values } of lists) {
    addRows({ arena, runner }, { to: sums, values, rows, rowLength, indices: ordinals + 4 * at });
    at += rows;
  }
  merged.move();
  return { indices: unique, values: sums, rows: count };
}

/** to[indices[i]] += values[i], row by row in order. */
export function addRows(
  { arena, runner }: { readonly arena: RunState["arena"]; readonly runner: Runner },
  { to, values, rows, rowLength, indices }: RowList & { readonly to: number; readonly rowLength: number },
): void {
  runner(arena, {
    kernel: program({
      lines: ["sum_of_rows = sum_of_rows + g"],
      tensors: ["sum_of_rows", "g"],
      stored: ["sum_of_rows"],
    })
      .kernel({ sum_of_rows: { access: "indexed" } }),
    tensors: { sum_of_rows: to, g: values },
    rowCount: rows,
    rowLength,
    indices,
    uniforms: {},
  });
}
