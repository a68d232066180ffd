/**
 * Plans the step of a sparse gradient. As in Keras, rows are clipped as they were received and merged afterwards.
 * Transformers from the first one that reads the variable on (weight decay) run on merged rows.
 */
import { findUnique, tableBytes } from "../../../kernels/routines/dedupe.ts";
import { checkNoise } from "./check_contribution.ts";
import type { Instruction } from "./instruction.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import {
  type FusedLines,
  isLight,
  joined,
  linesCall,
  NOTHING,
  type RuleStep,
  type StepContext,
  tensorsOf,
  transformerParts,
  wholeCall,
} from "./fused_lines.ts";
import type { StagedSparse } from "../staging/staged.ts";
import type { VariableState } from "../tensors/state.ts";

export function planSparse(step: RuleStep, staged: StagedSparse, clip: FusedLines): Instruction[] {
  const { context, rule } = step;
  const { variable } = staged;
  checkNoise(context.spec, [staged]);
  const before: Instruction[] = linesCall(step, staged, clip);
  const after: FusedLines[] = [];
  for (const transformer of transformerParts(context)) {
    // Centralization skips sparse gradients, because the mean would need rows that were not sent.
    if (!("lines" in transformer)) continue;
    // From the first transformer that reads the variable on, all run on merged rows, so that their order is kept.
    if (after.length > 0 || readsVariable(transformer)) {
      const both = joined(after.at(-1) ?? NOTHING, transformer);
      if (isLight(both)) after.pop();
      after.push(isLight(both) ? both : transformer);
    } else before.push(...linesCall(step, staged, transformer));
  }
  const rows = rule.sparseScalarRows && variable.rowLength === 1
    ? rule.sparseScalarRows
    : rule.sparse
    ? rule.sparse.rows ?? []
    : rule.dense;
  const merged = rule.sparse?.scatter && after.length === 0
    ? { indices: staged.indices, values: staged.values, rows: staged.rows, lines: [], instructions: [] }
    : planMerge(context, staged);
  const whole = (lines: readonly string[] = []) =>
    lines.length === 0 ? [] : [wholeCall(step, variable, { lines, uniforms: {} })];
  const clean: FusedLines = { lines: merged.lines, uniforms: NOTHING.uniforms };
  // Transformers read the variable as it was before the step, so they run before lines over all rows (AdamW).
  const transformed = after.map((lines, n) =>
    rowsCall(step, merged, { ...n === 0 ? joined(clean, lines) : lines, variable, stored: ["g"] })
  );
  const rest = after.length === 0 ? [...merged.lines, ...rows] : rows;
  if (rule.sparseAsDense) {
    const g = context.staging.allocate(4 * variable.count);
    return [
      ...before,
      ...merged.instructions,
      ...transformed,
      { kind: "fill", offset: g, count: variable.count },
      addRows({ from: merged, to: g, rowLength: variable.rowLength }),
      wholeCall(step, variable, { lines: rule.dense, uniforms: NOTHING.uniforms, g }),
    ];
  }
  return [
    ...before,
    ...merged.instructions,
    ...transformed,
    ...whole(rule.sparse?.all),
    rowsCall(step, merged, { lines: rest, uniforms: NOTHING.uniforms, variable }),
    ...whole(rule.sparse?.after),
  ];
}

const readsVariable = ({ lines }: FusedLines) => lines.some((line) => /\bw\b/.test(line));

interface Rows {
  readonly indices: number;
  readonly values: number;
  readonly rows: number;
}

/** A call of `lines` on the listed rows of the variable and its slots, with the rows of `g` in order. */
function rowsCall(
  { base }: RuleStep,
  { indices, values, rows }: Rows,
  part: FusedLines & { variable: VariableState; stored?: readonly string[] },
): Instruction {
  const tensors = tensorsOf(part.variable);
  const names = Object.keys(tensors);
  const numbers = { ...base, ...part.uniforms };
  const indexed = Object.fromEntries(names.map((name) => [name, { access: "indexed" as const }]));
  return {
    kind: "call",
    call: {
      kernel: program({
        lines: part.lines,
        tensors: [...names, "g"],
        stored: part.stored ?? names,
        uniforms: Object.keys(numbers),
      }).kernel(
        indexed,
      ),
      tensors: { ...tensors, g: values },
      rowCount: rows,
      rowLength: part.variable.rowLength,
      indices,
      uniforms: numbers,
    },
  };
}

/** A call that adds rows to the rows of another tensor that they name. */
function addRows({ from, to, rowLength }: { from: Rows; to: number; rowLength: number }): Instruction {
  return {
    kind: "call",
    call: {
      kernel: program({
        lines: ["sum_of_rows = sum_of_rows + g"],
        tensors: ["sum_of_rows", "g"],
        stored: ["sum_of_rows"],
      }).kernel({ sum_of_rows: { access: "indexed" } }),
      tensors: { sum_of_rows: to, g: from.values },
      rowCount: from.rows,
      rowLength,
      indices: from.indices,
      uniforms: {},
    },
  };
}

/**
 * Merges repeated rows: distinct rows in order of first occurrence, each the sum of its occurrences, added to zero in
 * order. Without repetition, the rows stay in place and only zero is added (it turns −0 into 0).
 */
function planMerge({ state, staging }: StepContext, staged: StagedSparse) {
  const { rows, variable } = staged;
  const ordinals = staging.allocate(4 * rows), unique = staging.allocate(4 * rows);
  const table = staging.allocate(tableBytes(rows));
  const count = findUnique(state.arena, { indices: staged.indices, count: rows, table, ordinals, unique });
  if (count === rows) {
    return { indices: staged.indices, values: staged.values, rows, lines: ["g = 0 + g"], instructions: [] };
  }
  const sums = staging.allocate(4 * count * variable.rowLength);
  const from = { indices: ordinals, values: staged.values, rows };
  const add = addRows({ from, to: sums, rowLength: variable.rowLength });
  const clear: Instruction = { kind: "fill", offset: sums, count: count * variable.rowLength };
  return { indices: unique, values: sums, rows: count, lines: [], instructions: [clear, add] };
}
