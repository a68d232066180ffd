/**
 * The layout of the files that the service writes of a run for itself: which tensors there are in which order, and the
 * entries of the header. Both follow from the run's variables and slots, so a file that has this layout is read back
 * without a look at its entries.
 *
 * Invariant: the entries are, byte for byte, those of `layingOut` in wire/safetensors_writer.ts.
 */
import type { RunState, VariableState } from "../tensors/state.ts";
import { slotTensor, variableTensor } from "./checkpoint_format.ts";

/** Letters of a part of the entries, and how long it takes to write an entry and to look at one. */
const PART_LENGTH = 64 << 10, ENTRY_UNITS = 700, ORDER_UNITS = 50;

/** The tensors of one kind: the variables, or a slot of them. */
interface Group {
  /** Undefined: the variables themselves. */
  readonly slot: string | undefined;
  /** In the order of their names. */
  readonly variables: readonly VariableState[];
}

export interface RunLayout {
  /** In the order of the file. */
  readonly groups: readonly Group[];
  /** Count of the tensors. */
  readonly size: number;
  readonly dataBytes: number;
  /** The entries of the header in JSON, without braces, in parts. */
  readonly entries: readonly Uint8Array<ArrayBuffer>[];
}

const encoder = new TextEncoder();

/** Lays out a run's files, in pieces. */
export function* layingOutRun(state: RunState): Generator<number, RunLayout> {
  const groups = yield* groupsOf(state);
  const entries: Uint8Array<ArrayBuffer>[] = [];
  let text = "", dataBytes = 0, size = 0, unseen = 0;
  for (const { slot, variables } of groups) {
    const prefix = JSON.stringify(prefixOf(slot)).slice(0, -1);
    for (const { name, shape, count } of variables) {
      const begin = dataBytes;
      dataBytes += 4 * count;
      text += `${size++ === 0 ? "" : ","}${prefix}${
        JSON.stringify(name).slice(1)
      }:{"dtype":"F32","shape":[${shape.join()}],"data_offsets":[${begin},${dataBytes}]}`;
      if (text.length < PART_LENGTH) continue;
      entries.push(encoder.encode(text));
      text = "";
      yield ENTRY_UNITS * (size - unseen);
      unseen = size;
    }
  }
  if (text !== "") entries.push(encoder.encode(text));
  return { groups, size, dataBytes, entries };
}

const prefixOf = (slot: string | undefined) => slot === undefined ? variableTensor("") : slotTensor(slot, "");

/** No prefix begins with another one, because slots have no slash in their names. */
function* groupsOf(state: RunState): Generator<number, readonly Group[]> {
  const all = yield* state.sorted();
  const optimized = all.length === state.optimized.length
    ? all
    : all.filter(({ role }) => role === "optimize");
  yield ORDER_UNITS * all.length;
  const slots = state.slotNames.map((slot) => ({
    slot,
    variables: optimized.filter(({ home }) => home.slots.has(slot)),
  }));
  return [{ slot: undefined, variables: all }, ...slots]
    .sort((a, b) => prefixOf(a.slot) < prefixOf(b.slot) ? -1 : 1);
}

/** Byte offset of a tensor in the arena. */
export function offsetOf(variable: VariableState, slot: string | undefined): number {
  return slot === undefined ? variable.offset : variable.slotOffset(slot);
}
