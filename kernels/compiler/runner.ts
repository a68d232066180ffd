/**
 * Kernel calls as data, and the runners that perform them. One runner uses the compiled kernels on this thread, the
 * other the interpreter; both take the same calls and leave the same bits.
 */
import type { Arena } from "../arena.ts";
import type { Kernel, Program } from "./compile.ts";
import { interpretPass } from "./interpret.ts";
import type { Pass } from "./pass.ts";

export interface Call {
  readonly kernel: Kernel;
  /** Byte offset of each tensor of the program. */
  readonly tensors: Readonly<Record<string, number>>;
  /** 1 for a dense tensor, which is one row. */
  readonly rowCount: number;
  readonly rowLength: number;
  /** Byte offset of the int32 row numbers of `indexed` tensors; the default, offset 0, lists row 0 alone. */
  readonly indices?: number;
  /** Value of each uniform of the program. */
  readonly uniforms: Readonly<Record<string, number>>;
}

/** Performs a call and returns, by name, the scalars that its lines assign. */
export type Runner = (arena: Arena, call: Call) => Record<string, number>;

/** Performs one pass; `args` are the kernel's parameters (see emit.ts). Returns the reductions' totals. */
type PassRunner = (arena: Arena, kernel: Kernel, pass: number, args: readonly number[]) => readonly number[];

function runner(perform: PassRunner): Runner {
  return (arena, call) => {
    const { kernel, tensors, rowCount, rowLength, indices = 0 } = call;
    const { scalars } = kernel.program;
    scalars.begin(call.uniforms);
    for (let index = 0; index < kernel.passes.length; index++) {
      const pass = kernel.passes[index] as Pass;
      // One flat list, because allocations here are most of the microsecond that a small call takes.
      const args = [rowCount, rowLength, indices];
      for (const { name } of pass.tensors) {
        const offset = tensors[name];
        if (offset === undefined) throw new RangeError(`Cannot run without the tensor "${name}"`);
        args.push(offset);
      }
      for (const id of pass.uniforms) args.push(scalars.values[id] as number);
      const totals = perform(arena, kernel, index, args);
      for (let n = 0; n < pass.reductions.length; n++) {
        scalars.reduced(pass.reductions[n]?.node as number, totals[n] as number, rowCount * rowLength);
      }
      if (pass.reductions.length > 0) scalars.compute(index + 1);
    }
    return scalars.results();
  };
}

const NO_TOTALS: readonly number[] = [];

/** Performs a call with the compiled kernels, on this thread. */
export const runCompiled: Runner = runner((arena, kernel, pass, args) => {
  const totals = arena.kernel(kernel.module(pass))(...args);
  return totals === undefined ? NO_TOTALS : typeof totals === "number" ? [totals] : totals;
});

/** Performs a call with the interpreter, on the same memory. */
export const runInterpreted: Runner = runner((arena, kernel, index, args) => {
  const pass = kernel.passes[index] as Pass;
  const [rowCount = 0, rowLength = 0, indices = 0, ...rest] = args;
  const pointers = rest.slice(0, pass.tensors.length), uniforms = rest.slice(pass.tensors.length);
  const given = { rowCount, rowLength, indices, pointers, uniforms };
  return interpretPass(kernel.program.graph.nodes, pass, arena, given);
});

/** Computes the scalars that lines without tensors assign. */
export function evaluateScalars(
  program: Program,
  uniforms: Readonly<Record<string, number>>,
): Record<string, number> {
  program.scalars.begin(uniforms);
  return program.scalars.results();
}
