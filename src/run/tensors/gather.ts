/** Gathers rows of a variable: a kernel copies them out. */
import type { Runner } from "../../../kernels/compiler/runner.ts";
import { refusal, StepwellError } from "../../errors.ts";
import type { NamedTensor } from "../../tensor.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import type { RunState, VariableState } from "./state.ts";

interface Rows {
  readonly variable: VariableState;
  readonly indices: readonly number[] | Int32Array;
  /** Bytes of the values. */
  readonly bytes: number;
}

const COPY = program({ lines: ["to = from"], tensors: ["to", "from"], stored: ["to"] }).kernel({
  from: { access: "indexed" },
});

/** Throws shape_mismatch for a scalar, invalid_request for more than `bytesMax` bytes, index_out_of_range. */
export function rowsToGather(
  variable: VariableState,
  indices: readonly number[] | Int32Array,
  bytesMax: number,
): Rows {
  const { name, shape, rows, rowLength } = variable;
  if (shape.length === 0) {
    throw new StepwellError("shape_mismatch", `Cannot gather rows of "${name}": it is a scalar`);
  }
  const bytes = 4 * indices.length * rowLength;
  if (bytes > bytesMax) {
    const problem = `ask for ${bytes} bytes, must be at most ${bytesMax}`;
    throw refusal("invalid_request", `gather rows of "${name}"`, "indices", problem);
  }
  const at = indices.findIndex((index) => index < 0 || index >= rows);
  if (at < 0) return { variable, indices, bytes };
  const problem = `is ${indices[at]}, must be from 0 to ${rows - 1}`;
  throw refusal("index_out_of_range", `gather rows of "${name}"`, `indices.${at}`, problem);
}

/** The rows in the order of their indices. Throws out_of_memory when `scratch` does not fit. */
export function gather(
  { arena }: RunState,
  { variable, indices, bytes }: Rows,
  { runner, scratch }: { readonly runner: Runner; readonly scratch: { allocate(bytes: number): number } },
): NamedTensor {
  const list = scratch.allocate(4 * indices.length), rows = scratch.allocate(bytes);
  arena.i32(list, indices.length).set(indices);
  runner(arena, {
    kernel: COPY,
    tensors: { to: rows, from: variable.offset },
    rowCount: indices.length,
    rowLength: variable.rowLength,
    indices: list,
    uniforms: {},
  });
  const shape = [indices.length, ...variable.shape.slice(1)];
  return { name: variable.name, shape, values: arena.f32(rows, bytes / 4).slice() };
}
