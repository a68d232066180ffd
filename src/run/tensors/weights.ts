/**
 * `get_weights` and `set_weights` of Keras' legacy optimizers: the iteration count, the optimizer's scalar state,
 * then the slots in order of creation. Before the first step there are none.
 */
import { StepwellError } from "../../errors.ts";
import type { OptimizerMember, Rule } from "../../families/optimizers/member/optimizer_member.ts";
import { fitsShape, type NamedTensor, showShape } from "../../tensor.ts";
import type { FlatTensor } from "../../wire/nested_numbers.ts";
import { readTensor } from "../../wire/json_tensors.ts";
import { type Copies, copySlot } from "./copies.ts";
import { creationOrder } from "./created_slots.ts";
import { copyWords, wordsOf } from "./words.ts";
import type { RunState } from "./state.ts";

/** `iterations` is null while Keras would not have created any weight. */
export function getWeights(state: RunState): { iterations: number | null; tensors: NamedTensor[] } {
  if (!state.hypersCreated) return { iterations: null, tensors: [] };
  const scalars = state.scalars.flatMap((each) => Object.entries(each)).map(([name, value]) => ({
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

/** All weights, which have the run's own shapes. */
export interface WholeWeights {
  readonly iterations: number;
  /** Float32, those of the list one behind the other. */
  readonly values: Float32Array<ArrayBuffer>;
}

interface Target {
  readonly member: OptimizerMember;
  /** By group. */
  readonly rules: readonly Rule[];
  /** Called after all checks and before any change. An error that it throws refuses the change. */
  readonly record: (whole: WholeWeights) => void;
}

/**
 * Assigns a list of weights and returns whether anything changed. If the run has no weights yet, a list of full
 * length creates them first; Keras needs a separate call for that.
 *
 * Throws invalid_weights (length, shape, an invalid iteration count) and the errors of reading a tensor.
 */
export function setWeights(
  state: RunState,
  given: readonly unknown[] | WholeWeights,
  { member, rules, record }: Target,
): boolean {
  const names = rules.flatMap((rule, group) =>
    Object.keys(rule.state ?? {}).map((name) => ({ group, name }))
  );
  const now = state.hypersCreated ? 1 + names.length + state.created.length : 0;
  const created = now === 0 ? creationOrder(rules, state.optimized) : state.created;
  const list = isWhole(given) || rules.length > 1 ? given : fromVersion1(given, member, now);
  const whole = isWhole(list) ? list : joined(list, { member, scalars: names.length, now, created });
  if (!whole) return false;
  const { iterations, values } = whole;
  const count = created.reduce((sum, { variable }) => sum + variable.count, names.length);
  if (values.length !== count) {
    refuse(`Cannot set the weights: they have ${values.length} numbers, must have ${count}`);
  }

  record(whole);
  if (now === 0) state.createSlots(rules, state.optimized);
  state.hypersCreated = true;
  state.iterations = iterations;
  const scalars = rules.map((): Record<string, number> => ({}));
  for (const [index, { group, name }] of names.entries()) {
    (scalars[group] as Record<string, number>)[name] = values[index] as number;
  }
  state.scalars = scalars;
  const target = wordsOf(state.arena),
    words = new Int32Array(values.buffer, values.byteOffset, values.length);
  let at = names.length;
  for (const { variable, slot } of created) {
    const { count } = variable;
    copyWords(words, at, { target, to: variable.slotOffset(slot) / 4, count });
    at += count;
  }
  return true;
}

function isWhole(given: readonly unknown[] | WholeWeights): given is WholeWeights {
  return "values" in given && given.values instanceof Float32Array;
}

interface Wanted {
  readonly member: OptimizerMember;
  /** Count of the numbers of the scalar state. */
  readonly scalars: number;
  /** Length of the run's present list. */
  readonly now: number;
  readonly created: RunState["created"];
}

/** The weights of a list, checked; undefined for an empty list where there are none. */
function joined(
  list: readonly unknown[],
  { member, scalars, now, created }: Wanted,
): WholeWeights | undefined {
  const all = 1 + scalars + created.length;
  if (list.length === 0 && now === 0) return undefined;
  if (list.length !== (now || all)) {
    refuse(
      `Cannot set the weights of ${member.class_name}: the list has ${list.length}, must have ${now || all}`,
    );
  }
  const [first, ...rest] = list.map((value, index) =>
    isFlatTensor(value) ? value : readTensor(value, `weights.${index}`)
  );
  // A number keeps all its digits; float32 would round a count above 2^24.
  const iterations = typeof list[0] === "number" ? list[0] : first?.values[0] ?? 0;
  if (first?.shape.length !== 0 || !Number.isSafeInteger(iterations) || iterations < 0) {
    refuse("Cannot set the weights: weights.0 is the iteration count, must be an integer from 0");
  }
  for (const [index, { shape }] of rest.entries()) {
    const wanted = created[index - scalars]?.variable.shape ?? [];
    if (fitsShape(shape, wanted)) continue;
    const message = `has shape ${showShape(shape)}, must be ${showShape(wanted)}`;
    refuse(`Cannot set the weights: weights.${index + 1} ${message}`, `weights.${index + 1}`, message);
  }
  const values = new Float32Array(rest.reduce((sum, tensor) => sum + tensor.values.length, 0));
  let at = 0;
  for (const tensor of rest) {
    values.set(tensor.values, at);
    at += tensor.values.length;
  }
  return { iterations, values };
}

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
