/**
 * `get_weights` and `set_weights` of Keras' legacy optimizers: the iteration count, the optimizer's scalar state,
 * then the slots in order of creation. Before the first step there are none.
 */
import { StepwellError } from "../../errors.ts";
import type { OptimizerMember, Rule } from "../../families/optimizers/member/optimizer_member.ts";
import { inPieces } from "../../slices.ts";
import { fitsShape, type NamedTensor, type Shape, showShape } from "../../tensor.ts";
import type { FlatTensor } from "../../wire/nested_numbers.ts";
import { readTensor } from "../../wire/json_tensors.ts";
import { type Copies, copySlot } from "./copies.ts";
import { type CreatedSlot, creationOrder, type RunState } from "./state.ts";

/** `iterations` is null while Keras would not have created any weight. */
export function getWeights(state: RunState): { iterations: number | null; tensors: NamedTensor[] } {
  if (!state.hypersCreated) return { iterations: null, tensors: [] };
  const scalars = Object.entries(state.scalars).map(([name, value]) => ({
    name,
    shape: [],
    values: new Float32Array([value]),
  }));
  const copies = new Map(state.slotNames.map((slot) => [slot, copySlot(state, slot)]));
  const slots = state.created.map(({ variable, slot }) =>
    (copies.get(slot) as Copies)(variable, `${variable.name}/${slot}`)
  );
  return { iterations: state.iterations, tensors: [...scalars, ...slots] };
}

/** A list of weights that fits a run: checked, and ready to be assigned. */
export interface PreparedWeights {
  readonly iterations: number;
  /** All tensors of the list after the count. */
  readonly shapes: readonly Shape[];
  /** Their values, one behind the other. */
  readonly values: Float32Array<ArrayBuffer>;
  /** Slots of the list, in its order. */
  readonly created: readonly CreatedSlot[];
  /** Whether the list is as long as the run's is now; otherwise it creates the weights. */
  readonly creates: boolean;
  /** What the list was checked against. */
  readonly rule: Rule;
  readonly createdBefore: number;
}

/** How long it takes to read or check a tensor of the list, in nanoseconds. */
const TENSOR_UNITS = 500;

/**
 * Checks a list of weights, in pieces; undefined if it changes nothing. If the run has no weights yet, a list of full
 * length creates them; Keras needs a separate call for that.
 *
 * Throws invalid_weights (length, shape, an invalid iteration count) and the errors of reading a tensor.
 */
export function* preparingWeights(
  state: RunState,
  given: readonly unknown[],
  { member, rule }: { readonly member: OptimizerMember; readonly rule: Rule },
): Generator<number, PreparedWeights | undefined> {
  const all = 1 + Object.keys(rule.state ?? {}).length +
    state.optimized.length * Object.keys(rule.slots).length;
  const createdBefore = state.created.length;
  const now = state.hypersCreated ? 1 + Object.keys(state.scalars).length + createdBefore : 0;
  const list = fromVersion1(given, member, now);
  if (list.length === 0 && now === 0) return undefined;
  const creates = now === 0 && list.length === all;
  if (list.length !== now && !creates) {
    refuse(
      `Cannot set the weights of ${member.class_name}: the list has ${list.length}, must have ${now || all}`,
    );
  }
  // A list that grows meanwhile is told by its length.
  const created = creates ? creationOrder(rule, state.optimized) : state.created.slice();
  const tensors: FlatTensor[] = [];
  yield* inPieces(list, TENSOR_UNITS, (value) => {
    tensors.push(isFlatTensor(value) ? value : readTensor(value, `weights.${tensors.length}`));
  });
  const [first] = tensors;
  // A number keeps all its digits; float32 would round a count above 2^24.
  const iterations = typeof list[0] === "number" ? list[0] : first?.values[0] ?? 0;
  if (first?.shape.length !== 0 || !Number.isSafeInteger(iterations) || iterations < 0) {
    refuse("Cannot set the weights: weights.0 is the iteration count, must be an integer from 0");
  }
  const scalars = Object.keys(rule.state ?? {}).length;
  const shapes: Shape[] = [];
  let count = 0;
  yield* inPieces(tensors.values().drop(1), TENSOR_UNITS, ({ shape, values }) => {
    const index = shapes.length, wanted = index < scalars ? [] : created[index - scalars]!.variable.shape;
    if (!fitsShape(shape, wanted)) {
      const message = `has shape ${showShape(shape)}, must be ${showShape(wanted)}`;
      refuse(`Cannot set the weights: weights.${index + 1} ${message}`, `weights.${index + 1}`, message);
    }
    shapes.push(shape);
    count += values.length;
  });
  const values = new Float32Array(count);
  let at = 0;
  yield* inPieces(tensors.values().drop(1), TENSOR_UNITS, (tensor) => {
    values.set(tensor.values, at);
    at += tensor.values.length;
  });
  return { iterations, shapes, values, created, creates, rule, createdBefore };
}

/** Whether the run is still as it was when the list was checked: the list means the same. */
export function areCurrent(state: RunState, rule: Rule, prepared: PreparedWeights): boolean {
  return prepared.rule === rule && prepared.createdBefore === state.created.length &&
    prepared.creates === !state.hypersCreated;
}

/** Assigns weights that are current. */
export function assignWeights(state: RunState, prepared: PreparedWeights): void {
  const { iterations, values, created, creates, rule } = prepared;
  if (creates) state.createSlots(rule, state.optimized);
  state.hypersCreated = true;
  state.iterations = iterations;
  const names = Object.keys(rule.state ?? {});
  state.scalars = Object.fromEntries(names.map((name, index) => [name, values[index] ?? 0]));
  // As integers, because a float that JavaScript reads and writes may lose the bits of a NaN.
  const { arena } = state,
    memory = arena.i32(0, arena.bytesReserved / 4),
    from = new Int32Array(values.buffer);
  let at = names.length;
  for (const { variable, slot } of created) {
    const to = variable.slotOffset(slot) / 4, { count } = variable;
    if (count > LOOP_COUNT_MAX) memory.set(from.subarray(at, at + count), to);
    else for (let n = 0; n < count; n++) memory[to + n] = from[at + n] as number;
    at += count;
  }
}

/** Up to so many elements, a loop is faster than making two views. */
const LOOP_COUNT_MAX = 64;

/** Whether the value was not parsed from JSON, which has no typed arrays. */
function isFlatTensor(value: unknown): value is FlatTensor {
  return typeof value === "object" && value !== null && "values" in value &&
    value.values instanceof Float32Array;
}

/** Converts lists that Keras' first optimizers saved: without the iteration count, or with unused second moments. */
function fromVersion1(given: readonly unknown[], member: OptimizerMember, now: number): readonly unknown[] {
  if (member.savedByVersion1 === "without_iterations" && given.length === now - 1) return [0, ...given];
  const variables = Math.trunc((now - 1) / 2);
  if (member.savedByVersion1 === "with_vhat" && given.length === 3 * variables + 1) {
    return given.slice(0, now);
  }
  return given;
}

function refuse(text: string, path = "weights", message = text): never {
  throw new StepwellError("invalid_weights", text, [{ path, message }]);
}
