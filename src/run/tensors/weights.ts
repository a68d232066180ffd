/**
 * `get_weights` and `set_weights` of Keras' legacy optimizers: the iteration count, the optimizer's scalar state,
 * then the slots in order of creation. Before the first step there are none.
 */
import { StepwellError } from "../../errors.ts";
import type { OptimizerMember, Rule } from "../../families/optimizers/member/optimizer_member.ts";
import { fitsShape, type NamedTensor, type Shape, showShape } from "../../tensor.ts";
import type { FlatTensor } from "../../wire/nested_numbers.ts";
import { readTensor } from "../../wire/json_tensors.ts";
import { type Copies, copySlot } from "./copies.ts";
import { creationOrder, type RunState } from "./state.ts";

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

interface Target {
  readonly member: OptimizerMember;
  /** By group. */
  readonly rules: readonly Rule[];
  /** Called after all checks and before any change. An error that it throws refuses the change. */
  readonly record: (iterations: number, weights: readonly FlatTensor[]) => void;
}

/**
 * Assigns a list of weights and returns whether anything changed. If the run has no weights yet, a list of full
 * length creates them first; Keras needs a separate call for that.
 *
 * Throws invalid_weights (length, shape, an invalid iteration count) and the errors of reading a tensor.
 */
export function setWeights(
  state: RunState,
  given: readonly unknown[],
  { member, rules, record }: Target,
): boolean {
  const names = rules.flatMap((rule, group) =>
    Object.keys(rule.state ?? {}).map((name) => ({ group, name }))
  );
  const full = creationOrder(rules, state.optimized), all = 1 + names.length + full.length;
  const now = state.hypersCreated ? 1 + names.length + state.created.length : 0;
  const list = rules.length === 1 ? fromVersion1(given, member, now) : given;
  if (list.length === 0 && now === 0) return false;
  const create = now === 0 && list.length === all;
  if (list.length !== now && !create) {
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
  const created = create ? full : state.created;
  const shapes: Shape[] = [...names.map(() => []), ...created.map(({ variable }) => variable.shape)];
  rest.forEach(({ shape }, index) => {
    const wanted = shapes[index] as Shape;
    if (!fitsShape(shape, wanted)) {
      const message = `has shape ${showShape(shape)}, must be ${showShape(wanted)}`;
      refuse(`Cannot set the weights: weights.${index + 1} ${message}`, `weights.${index + 1}`, message);
    }
  });

  record(iterations, rest);
  if (create) state.createSlots(rules, state.optimized);
  state.hypersCreated = true;
  state.iterations = iterations;
  const values = rest.map((tensor) => tensor.values);
  const scalars = rules.map((): Record<string, number> => ({}));
  for (const [index, { group, name }] of names.entries()) {
    (scalars[group] as Record<string, number>)[name] = values[index]?.[0] ?? 0;
  }
  state.scalars = scalars;
  created.forEach(({ variable, slot }, index) => {
    state.slotValues(variable, slot).set(values[names.length + index] as Float32Array);
  });
  return true;
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
