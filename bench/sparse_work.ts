/**
 * The sparse work, and our side of it. The work is one Adagrad step on some rows of a table, with repeated rows
 * summed first. Our side repeats the kernel calls of a session's own plan, recorded as the session makes them.
 */
import { findUnique, tableBytes } from "../kernels/routines/dedupe.ts";
import { type Arena } from "../kernels/arena.ts";
import { type Call, runCompiled } from "../kernels/compiler/runner.ts";
import type { StagedSparse } from "../src/run/staging/staged.ts";
import { Registry } from "../src/run/registry/registry.ts";
import { gradientValues, rowIndices } from "./data.ts";
import { MEMBERS } from "./kernel_step.ts";

export interface SparseWork {
  readonly rows: number;
  readonly width: number;
  /** [n] rows of the table, some of them repeated. */
  readonly indices: Int32Array<ArrayBuffer>;
  /** [n, width]. */
  readonly values: Float32Array<ArrayBuffer>;
  /** [rows, width]. */
  readonly initial: Float32Array<ArrayBuffer>;
}

/** A contender with its own table and accumulator. */
export interface SparseStepper {
  readonly name: string;
  step(): void;
  /** A copy of the table's rows that `indices` name. */
  touched(): Float32Array;
  dispose(): void | Promise<void>;
}

/** Work with `count` indices, of which four fifths differ. */
export function sparseWork(rows: number, width: number, count: number): SparseWork {
  return {
    rows,
    width,
    indices: rowIndices(count, Math.max(1, Math.min(rows, Math.floor(count * 0.8))), rows, 5),
    values: gradientValues(count * width, 6),
    initial: gradientValues(rows * width, 7),
  };
}

/** The rows of `table` that `indices` name. */
export function rowsOf(table: Float32Array, { indices, width }: SparseWork): Float32Array {
  const found = new Float32Array(indices.length * width);
  indices.forEach((row, k) => found.set(table.subarray(row * width, (row + 1) * width), k * width));
  return found;
}

const bytesOf = (view: ArrayBufferView<ArrayBuffer>) =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

export async function sparseKernelStepper(work: SparseWork): Promise<SparseStepper> {
  const { rows, width } = work;
  const caught: { arena: Arena; call: Call }[] = [];
  const registry = new Registry({
    runsMax: 1,
    memoryBytesMax: 2 ** 32,
    runner: (arena, call) => {
      caught.push({ arena, call });
      return runCompiled(arena, call);
    },
    now: () => new Date(),
    newId: () => "bench",
    drawSeed: () => 7,
  });
  const session = await registry.create({
    optimizer: MEMBERS.Adagrad,
    variables: [{ name: "table", shape: [rows, width] }],
  });
  const initial = session.stage("values");
  const table = initial.dense("table", { dtype: "F32", shape: [rows, width] });
  table.write(bytesOf(work.initial));
  table.close();
  session.setVariables(initial);
  initial.release();

  const n = work.indices.length;
  const staging = session.stage("gradients");
  const sinks = staging.sparse("table", { dtype: "I32", shape: [n] }, { dtype: "F32", shape: [n, width] });
  sinks.indices.write(bytesOf(work.indices));
  sinks.indices.close();
  sinks.values.write(bytesOf(work.values));
  sinks.values.close();
  caught.length = 0;
  session.applyGradients(staging, { aggregate: true, dryRun: false });

  // First the merge of repeated rows, then the rule on the merged rows, which reads what the merge wrote.
  const [merge, rule] = caught;
  const staged = staging.tensors.get("table") as StagedSparse;
  if (merge === undefined || rule === undefined || caught.length !== 2 || merge.call.indices === undefined) {
    throw new Error(`Cannot time a sparse step: it made ${caught.length} calls, must be a merge and a rule`);
  }
  const { arena } = rule;
  const unique = {
    indices: staged.indices,
    count: n,
    table: staging.allocate(tableBytes(n)),
    ordinals: merge.call.indices,
    unique: rule.call.indices as number,
  };
  const sums = merge.call.tensors["sum_of_rows"] as number;
  return {
    name: "stepwell",
    step() {
      const found = findUnique(arena, unique);
      arena.f32(sums, found * width).fill(0);
      runCompiled(arena, merge.call);
      runCompiled(arena, rule.call);
    },
    touched: () => rowsOf(arena.f32(rule.call.tensors["w"] as number, rows * width), work),
    async dispose() {
      staging.release();
      await registry.delete("bench");
    },
  };
}
