/**
 * The law, which is the reference implementation of a pass: element by element in plain TypeScript, rounded to
 * float32 after every op. It is slow on purpose. emit.ts is the fast implementation; the tests require it to give the
 * same bits (any NaN equals any NaN).
 *
 * Reductions add in float64 in a fixed order. A row is split into blocks of BLOCK elements. In a block, element j of
 * the full groups of 16 goes to accumulator j mod 16; the elements after the last full group go, in order, to one
 * more accumulator, the rest. The eight even accumulators are added by a binary tree, and so are the eight odd ones.
 * A block's total is (even + odd) + rest. Blocks and rows add to the total in order. The terms are float32 numbers:
 * squares are rounded before they are added, as in TensorFlow.
 */
import { type Arena, FLAG_OFFSET } from "../arena.ts";
import type { GraphNode } from "../language/graph.ts";
import { flush } from "../language/flush.ts";
import { COMBINE } from "../language/formula_reductions.ts";
import { OPS } from "../language/ops.ts";
import { ELEMENT_BYTES, type ElementType, type Pass } from "./pass.ts";

/** Elements per block of a reduction. */
export const BLOCK = 4096;
/** Elements per group, which the main loop in emit.ts processes at a time. */
export const GROUP = 16;

/** Reads one element of any type as float32. */
export function readElement(buffer: ArrayBuffer, offset: number, type: ElementType): number {
  const view = new DataView(buffer);
  switch (type) {
    case "f32":
      return view.getFloat32(offset, true);
    case "f64":
      return Math.fround(view.getFloat64(offset, true));
    case "f16":
      return view.getFloat16(offset, true);
    case "bf16": {
      const bits = new DataView(new ArrayBuffer(4));
      bits.setUint16(2, view.getUint16(offset, true), true);
      return bits.getFloat32(0, true);
    }
  }
}

/** Float64 total of one block, in the fixed order. */
function totalOfBlock(terms: readonly number[], combine: (a: number, b: number) => number): number {
  const lanes = new Array<number>(GROUP).fill(0);
  const full = terms.length - terms.length % GROUP;
  let rest = 0;
  terms.forEach((term, j) => {
    if (j < full) lanes[j % GROUP] = combine(lanes[j % GROUP] as number, term);
    else rest = combine(rest, term);
  });
  const tree = (parts: number[]): number =>
    parts.length === 1
      ? parts[0] as number
      : tree(Array.from({ length: parts.length / 2 }, (_, n) =>
        combine(parts[2 * n] as number, parts[2 * n + 1] as number)));
  const even = tree(lanes.filter((_, j) => j % 2 === 0)), odd = tree(lanes.filter((_, j) => j % 2 === 1));
  return combine(combine(even, odd), rest);
}

export interface PassArguments {
  readonly rowCount: number;
  readonly rowLength: number;
  /** Byte offset of the int32 row numbers of `indexed` tensors. */
  readonly indices: number;
  /** Byte offset per tensor of the pass, in its order. */
  readonly pointers: readonly number[];
  /** Value per uniform of the pass, in its order. */
  readonly uniforms: readonly number[];
}

/** Performs one pass on the arena and returns the reductions' totals. */
export function interpretPass(
  nodes: readonly GraphNode[],
  pass: Pass,
  arena: Arena,
  args: PassArguments,
): number[] {
  const { buffer } = arena;
  const totals = pass.reductions.map(() => 0);
  const values: number[] = [];
  pass.uniforms.forEach((id, index) => values[id] = args.uniforms[index] as number);
  const valueOf = (id: number) => nodes[id]?.op === "number" ? nodes[id].value : values[id] as number;

  for (let row = 0; row < args.rowCount; row++) {
    const address = (tensor: number, element: number): number => {
      const { access, type } = pass.tensors[tensor]?.layout ?? { access: "sequential", type: "f32" };
      const base = args.pointers[tensor] as number;
      if (access === "splat") return base + 4 * row;
      const listed = () => arena.i32(args.indices, args.rowCount)[row] as number;
      const number = access === "indexed" ? listed() : access === "repeat" ? 0 : row;
      return base + ELEMENT_BYTES[type] * (number * args.rowLength + element);
    };
    const terms: number[][] = pass.reductions.map(() => []);
    for (let element = 0; element < args.rowLength; element++) {
      for (const id of pass.nodes) {
        const node = nodes[id] as GraphNode;
        if (node.op === "tensor") {
          const tensor = pass.tensors.findIndex(({ name }) => name === node.name);
          const type = pass.tensors[tensor]?.layout.type as ElementType;
          values[id] = readElement(buffer, address(tensor, element), type);
        } else {
          const [a, b, c] = node.args.map(valueOf);
          values[id] = OPS.get(node.op)?.evaluate?.(a as number, b as number, c as number) as number;
        }
      }
      for (const { tensor, node, flushes } of pass.stores) {
        const value = flushes ? flush(valueOf(node)) : valueOf(node);
        new DataView(buffer).setFloat32(address(tensor, element), value, true);
        if (pass.isWatched && !Number.isFinite(value)) arena.i32(FLAG_OFFSET, 1)[0] = 1;
      }
      pass.reductions.forEach(({ arg }, index) => terms[index]?.push(valueOf(arg)));
    }
    terms.forEach((row, index) => {
      const combine = COMBINE[pass.reductions[index]?.combine ?? "add"];
      for (let from = 0; from < row.length; from += BLOCK) {
        const block = totalOfBlock(row.slice(from, from + BLOCK), combine);
        totals[index] = combine(totals[index] as number, block);
      }
    });
  }
  return totals;
}
