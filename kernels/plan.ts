/**
 * Kernel calls as data, and the runners that perform them. A runner is the compiled kernels on one thread or
 * the interpreter; both take the same calls and leave the same bits.
 */
import type { Arena } from "./arena.ts";
import type { Kernel, Program } from "./compile.ts";
import { interpretPass, type PassArguments } from "./interpret.ts";
import type { Pass } from "./pass.ts";

export interface Call {
  readonly kernel: Kernel;
  /** Byte offset of each tensor of the program. */
  readonly tensors: Readonly<Record<string, number>>;
  /** A dense tensor is one row. */
  readonly rowCount: number;
  readonly rowLength: number;
  /** Byte offset of int32 row numbers for `indexed` tensors; the default 0 is a list of one row, row 0. */
  readonly indices?: number;
  /** Value of each uniform of the program. */
  readonly uniforms: Readonly<Record<string, number>>;
}

/** Performs a call and returns the scalars that its lines assign, by name. */
export type Runner = (arena: Arena, call: Call) => Record<string, number>;

type PassRunner = (arena: Arena, kernel: Kernel, pass: number, args: PassArguments) => readonly number[];

function runner(perform: PassRunner): Runner {
  return (arena, call) => {
    const { kernel, tensors, rowCount, rowLength, indices = 0 } = call;
    const { scalars } = kernel.program;
    scalars.begin(call.uniforms);
    for (let index = 0; index < kernel.passes.length; index++) {
      const pass = kernel.passes[index] as Pass;
      const pointers = pass.tensors.map(({ name }) => {
        const offset = tensors[name];
        if (offset === undefined) throw new RangeError(`Cannot run without the tensor "${name}"`);
        return offset;
      });
      const uniforms = pass.uniforms.map((id) => scalars.values[id] as number);
      const totals = perform(arena, kernel, index, { rowCount, rowLength, indices, pointers, uniforms });
      if (pass.reductions.length > 0) {
        pass.reductions.forEach(({ node }, n) =>
          scalars.reduced(node, totals[n] as number, rowCount * rowLength)
        );
        scalars.compute(index + 1);
      }
    }
    return scalars.results();
  };
}

const NO_TOTALS: readonly number[] = [];

/** Compiled kernels on this thread. */
export const runCompiled: Runner = runner((arena, kernel, pass, args) => {
  const compiled = arena.kernel(kernel.module(pass));
  const totals = compiled(args.rowCount, args.rowLength, args.indices, ...args.pointers, ...args.uniforms);
  return totals === undefined ? NO_TOTALS : typeof totals === "number" ? [totals] : totals;
});

/** The interpreter on the same memory. */
export const runInterpreted: Runner = runner((arena, kernel, pass, args) =>
  interpretPass(kernel.program.graph.nodes, kernel.passes[pass] as Pass, arena, args)
);

/** The scalars that lines without tensors assign. */
export function evaluateScalars(
  program: Program,
  uniforms: Readonly<Record<string, number>>,
): Record<string, number> {
  program.scalars.begin(uniforms);
  return program.scalars.results();
}
