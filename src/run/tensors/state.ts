/**
 * The state of one run: named variables and slots in fixed regions of an arena, the optimizer's scalar state
 * and the iteration count. It computes nothing: plan_step.ts plans changes and a runner makes them.
 *
 * Invariants: from the start, every slot that the optimizer's rule names has a region for every variable. It is
 * filled with the slot's initial value, or with 0 if the slot starts as the variable. `created` lists the slots that
 * Keras would have created by now, in its order: Keras creates a variable's slots at its first gradient, and
 * `get_weights` follows that order.
 */
import type { Arena } from "../../../kernels/arena.ts";
import { StepwellError } from "../../errors.ts";
import type { Rule } from "../../families/optimizers/member/optimizer_member.ts";
import { ruleOf } from "../../families/optimizers/optimizer.ts";
import type { Releasable } from "../../releasable.ts";
import { atOnce } from "../../slices.ts";
import { sorting } from "../../sorting.ts";
import { elementCount, type NamedTensor } from "../../tensor.ts";
import type { Memory } from "./memory.ts";
import { type CreatedSlot, CreatedSlots } from "./created_slots.ts";
import { initialClipNorm } from "../spec/aggregation.ts";
import type { ResolvedSpec } from "../spec/spec.ts";
import { type Home, type Settled, settling, type VariableState } from "./variable_state.ts";

export type { VariableState } from "./variable_state.ts";

const ALIGNMENT = 64;
const aligned = (bytes: number) => Math.ceil(Math.max(bytes, 1) / ALIGNMENT) * ALIGNMENT;

/** Bytes that variables and slots take in an arena. */
function regionBytes(homes: readonly Home[], rules: readonly Rule[]): number {
  const slots = rules.map((rule) => Object.keys(rule.slots).length);
  return homes.reduce(
    (sum, { role, group, bytes }) =>
      sum + (role === "average" ? 1 : 1 + (slots[group] as number)) * aligned(bytes),
    0,
  );
}

/** Bytes of the contributions that a round holds until it closes, and of their combination; 0 for sums. */
function contributionBytes({ aggregation: { rule, wanted }, variables }: ResolvedSpec): number {
  if (rule.kind === "sum") return 0;
  return (wanted + 1) * variables.reduce((sum, { shape }) => sum + aligned(4 * elementCount(shape)), 0);
}

/** The rules of a run's groups, with that of the default group. */
export function rulesOf(rule: Rule, { groups }: Pick<ResolvedSpec, "groups">): readonly Rule[] {
  return [rule, ...groups.map(({ optimizer }) => ruleOf(optimizer))];
}

/** The number that a slot is filled with at first. */
export function initialOf(rule: Rule, slot: string): number {
  const initial = rule.slots[slot];
  return typeof initial === "number" ? initial : 0;
}

export class RunState implements Releasable {
  #arena: Arena;
  readonly variables: Map<string, VariableState>;
  /** The variables that steps change; the others are averages of the clients' values. */
  readonly optimized: readonly VariableState[];
  /** By group: values of the rule's `state`. */
  scalars: readonly Readonly<Record<string, number>>[];
  /** Whether iterations, hyperparameters and the like exist in Keras' sense: after the first step. */
  hypersCreated = false;
  iterations = 0;
  /** The bound on the norm of each contribution; null without one. */
  clipNorm: number | null;
  readonly #memory: Memory;
  /** Those that have regions. */
  readonly #homes: Home[] = [];
  readonly #created: CreatedSlots;
  readonly #slotNames = new Set<string>();
  #sorted: readonly VariableState[] | undefined;
  /** Elements of all variables. */
  readonly parameters: number;

  /** As the constructor, in pieces. */
  static *making(
    memory: Memory,
    spec: ResolvedSpec,
    rule: Rule,
    options: { readonly isBlank?: boolean } = {},
  ): Generator<number, RunState> {
    const settled = yield* settling(spec.variables);
    return new RunState(memory, spec, rule, { ...options, settled });
  }

  /**
   * Allocates all regions. Throws run_too_large or out_of_memory and leaves nothing allocated. `isBlank`: the caller
   * fills the slots, with what `initialOf` says.
   */
  constructor(
    memory: Memory,
    spec: ResolvedSpec,
    rule: Rule,
    { isBlank = false, settled = atOnce(settling(spec.variables)) }: {
      readonly isBlank?: boolean;
      readonly settled?: Settled;
    } = {},
  ) {
    this.#memory = memory;
    const { variables, byName, homes } = settled;
    const rules = rulesOf(rule, spec);
    this.variables = byName;
    this.#arena = memory.place(regionBytes(homes, rules), contributionBytes(spec));
    this.optimized = variables.filter(({ role }) => role === "optimize");
    this.#created = new CreatedSlots(this.optimized);
    this.parameters = variables.reduce((sum, { count }) => sum + count, 0);
    using made = new DisposableStack();
    made.defer(() => this.release());
    for (const home of homes) {
      home.offset = memory.allocate(this.arena, home.bytes);
      this.#homes.push(home);
    }
    rules.forEach((each, group) => this.#addSlots(each, group, isBlank));
    made.move();
    this.scalars = rules.map(({ state }) => ({ ...state }));
    this.clipNorm = initialClipNorm(spec.aggregation);
  }

  /** It changes with `shrink`, which no request can notice. */
  get arena(): Arena {
    return this.#arena;
  }

  /** Slot names in the optimizer's order. */
  get slotNames(): readonly string[] {
    return [...this.#slotNames];
  }

  /** The variables in the order of their names, sorted in pieces when they are first asked for. */
  *sorted(): Generator<number, readonly VariableState[]> {
    return this.#sorted ??= yield* sorting(
      [...this.variables.values()],
      (a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0,
    );
  }

  /** Where the variables lie. */
  get homes(): readonly Home[] {
    return this.#homes;
  }

  /** Bytes of variables and slots. */
  get bytes(): number {
    return this.#homes.reduce((sum, { bytes, slots }) => sum + bytes * (1 + slots.size), 0);
  }

  /**
   * Allocates the missing slots of `rule` (amsgrad switched on later), all or none. Throws out_of_memory. Disposing
   * of the result removes them again; it must be done before anything else changes.
   */
  addSlots(rule: Rule, group = 0): DisposableStack {
    return this.#addSlots(rule, group, false);
  }

  #addSlots(rule: Rule, group: number, isBlank: boolean): DisposableStack {
    const names = Object.keys(rule.slots), missing = names.filter((slot) => !this.#slotNames.has(slot));
    const made: { home: Home; slot: string; offset: number }[] = [];
    using added = new DisposableStack();
    added.defer(() => made.forEach(({ offset }) => this.#memory.release(this.arena, offset)));
    for (const slot of names) {
      for (const home of this.#homes) {
        if (home.role !== "optimize" || home.group !== group || home.slots.has(slot)) continue;
        made.push({ home, slot, offset: this.#memory.allocate(this.arena, home.bytes) });
      }
    }
    for (const slot of missing) this.#slotNames.add(slot);
    for (const { home, slot, offset } of made) {
      home.slots.set(slot, offset);
      if (!isBlank) this.arena.f32(offset, home.bytes / 4).fill(initialOf(rule, slot));
    }
    added.defer(() => {
      for (const { home, slot } of made) home.slots.delete(slot);
      for (const slot of missing) this.#slotNames.delete(slot);
    });
    return added.move();
  }

  /** Marks the slots of these variables as created, in Keras' order. `rules` are those of the groups. */
  createSlots(rules: readonly Rule[], variables: readonly VariableState[]): void {
    this.#created.create(rules, variables);
  }

  /** The slots that start with the variable's present value and that no gradient has created yet. */
  startingAs(rule: Rule, variable: VariableState): string[] {
    return Object.keys(rule.slots)
      .filter((slot) => rule.slots[slot] === "w" && !this.isCreated({ variable, slot }));
  }

  markCreated(created: CreatedSlot): void {
    this.#created.mark(created);
  }

  isCreated(slot: CreatedSlot): boolean {
    return this.#created.has(slot);
  }

  /** Whether Keras would have created all slots of all variables by now. */
  get areAllCreated(): boolean {
    return this.#homes.every(({ group, slots }) =>
      slots.keys().every((slot) => this.#created.areAll(slot, group))
    );
  }

  /** The slots that a group's variables have; none if it has no variables. */
  slotsOf(group: number): string[] {
    const homes = this.#homes.filter((home) => home.group === group && home.role === "optimize");
    return [...new Set(homes.flatMap(({ slots }) => [...slots.keys()]))];
  }

  /** The variables that have the slot: those that the rule of their group moves by it. */
  having(slot: string): readonly VariableState[] {
    return this.optimized.filter(({ home }) => home.slots.has(slot));
  }

  /** The slots that Keras would have created by now, in its order. */
  get created(): readonly CreatedSlot[] {
    return this.#created.list;
  }

  /** Throws unknown_variable. */
  variable(name: string): VariableState {
    const variable = this.variables.get(name);
    if (variable) return variable;
    const known = [...this.variables.keys()];
    const shown = known.slice(0, 20).map((each) => `"${each}"`).join(", ") + (known.length > 20 ? ", …" : "");
    throw new StepwellError("unknown_variable", `Cannot find the variable "${name}": the run has ${shown}`);
  }

  values(variable: VariableState): Float32Array<ArrayBuffer> {
    return this.arena.f32(variable.offset, variable.count);
  }

  slotValues(variable: VariableState, slot: string): Float32Array<ArrayBuffer> {
    return this.arena.f32(variable.slotOffset(slot), variable.count);
  }

  /**
   * Moves to an arena of its own size, if its own has grown far beyond it and holds nothing else: bodies and rounds need
   * memory only for a time, but the memory of an arena cannot shrink. Returns whether it did.
   */
  shrink(): boolean {
    const used = this.#homes.reduce((sum, { bytes, slots }) => sum + (1 + slots.size) * aligned(bytes), 0);
    const target = this.#memory.smaller(this.#arena, used);
    if (!target) return false;
    const moved = (from: number, bytes: number) => {
      const to = target.allocate(bytes);
      target.u8(to, bytes).set(this.#arena.u8(from, bytes));
      this.#memory.release(this.#arena, from);
      return to;
    };
    for (const home of this.#homes) {
      home.offset = moved(home.offset, home.bytes);
      for (const [slot, from] of home.slots) home.slots.set(slot, moved(from, home.bytes));
    }
    this.#memory.drop(this.#arena);
    this.#arena = target;
    return true;
  }

  /** A copy that no later step changes. */
  copyVariable(variable: VariableState): NamedTensor {
    return { name: variable.name, shape: variable.shape, values: this.values(variable).slice() };
  }

  release(): void {
    for (const { offset, slots } of this.#homes) {
      this.#memory.release(this.arena, offset);
      for (const slot of slots.values()) this.#memory.release(this.arena, slot);
    }
    this.#homes.length = 0;
    this.variables.clear();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
