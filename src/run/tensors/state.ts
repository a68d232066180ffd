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
import type { Rule } from "../../families/optimizers/optimizer_member.ts";
import type { Releasable } from "../../releasable.ts";
import { elementCount, type NamedTensor } from "../../tensor.ts";
import type { Memory } from "./memory.ts";
import { initialClipNorm } from "../spec/aggregation.ts";
import type { ResolvedSpec, ResolvedVariable } from "../spec/spec.ts";

/** A variable in the arena. Rows are along the first axis; a scalar is one row of one element. */
export interface VariableState extends ResolvedVariable {
  readonly count: number;
  readonly rows: number;
  readonly rowLength: number;
  /** Byte offset of the float32 values. It changes with the arena. */
  offset: number;
  /** Byte offset per slot. */
  readonly slots: Map<string, number>;
}

/** A slot of a variable: one weight in Keras. */
export interface CreatedSlot {
  readonly variable: VariableState;
  readonly slot: string;
}

const ALIGNMENT = 64;
const aligned = (bytes: number) => Math.ceil(Math.max(bytes, 1) / ALIGNMENT) * ALIGNMENT;

/** Bytes that variables and slots take in an arena. */
export function stateBytes(spec: ResolvedSpec, rule: Rule): number {
  const slots = Object.keys(rule.slots).length;
  return spec.variables.reduce(
    (sum, { shape, role }) => sum + (role === "average" ? 1 : 1 + slots) * aligned(4 * elementCount(shape)),
    0,
  );
}

/** Bytes of the contributions that a round holds until it closes, and of their combination; 0 for sums. */
function contributionBytes({ aggregation: { rule, wanted }, variables }: ResolvedSpec): number {
  if (rule.kind === "sum") return 0;
  return (wanted + 1) * variables.reduce((sum, { shape }) => sum + aligned(4 * elementCount(shape)), 0);
}

/** The order in which Keras creates the slots of these variables. */
export function creationOrder(rule: Rule, variables: readonly VariableState[]): CreatedSlot[] {
  const slots = Object.keys(rule.slots);
  return rule.slotOrder === "variable"
    ? variables.flatMap((variable) => slots.map((slot) => ({ variable, slot })))
    : slots.flatMap((slot) => variables.map((variable) => ({ variable, slot })));
}

/** The number that a slot is filled with at first. */
export function initialOf(rule: Rule, slot: string): number {
  const initial = rule.slots[slot];
  return typeof initial === "number" ? initial : 0;
}

export class RunState implements Releasable {
  #arena: Arena;
  readonly variables = new Map<string, VariableState>();
  /** The variables that steps change; the others are averages of the clients' values. */
  readonly optimized: VariableState[] = [];
  /** Values of the rule's `state`. */
  scalars: Readonly<Record<string, number>>;
  /** Whether iterations, hyperparameters and the like exist in Keras' sense: after the first step. */
  hypersCreated = false;
  iterations = 0;
  /** The bound on the norm of each contribution; null without one. */
  clipNorm: number | null;
  readonly #memory: Memory;
  readonly #created: CreatedSlot[] = [];
  readonly #createdOffsets = new Set<number>();
  readonly #slotNames = new Set<string>();

  /**
   * Allocates all regions. Throws run_too_large or out_of_memory and leaves nothing allocated. `isBlank`: the caller
   * fills the slots, with what `initialOf` says.
   */
  constructor(memory: Memory, spec: ResolvedSpec, rule: Rule, { isBlank = false } = {}) {
    this.#memory = memory;
    const bytes = stateBytes(spec, rule);
    this.#arena = memory.place(bytes, contributionBytes(spec));
    using made = new DisposableStack();
    made.use(this);
    for (const variable of spec.variables) {
      const count = elementCount(variable.shape);
      const rows = variable.shape[0] ?? 1;
      const placed: VariableState = {
        ...variable,
        count,
        rows,
        rowLength: rows === 0 ? 0 : count / rows,
        offset: memory.allocate(this.arena, 4 * count),
        slots: new Map(),
      };
      this.variables.set(variable.name, placed);
      if (variable.role === "optimize") this.optimized.push(placed);
    }
    this.#addSlots(rule, isBlank);
    made.move();
    this.scalars = { ...rule.state };
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

  /** Bytes of variables and slots. */
  get bytes(): number {
    return [...this.variables.values()].reduce(
      (sum, { count, slots }) => sum + 4 * count * (1 + slots.size),
      0,
    );
  }

  /**
   * Allocates the missing slots of `rule` (amsgrad switched on later), all or none. Throws out_of_memory. Disposing
   * of the result removes them again; it must be done before anything else changes.
   */
  addSlots(rule: Rule): DisposableStack {
    return this.#addSlots(rule, false);
  }

  #addSlots(rule: Rule, isBlank: boolean): DisposableStack {
    const missing = Object.entries(rule.slots).filter(([slot]) => !this.#slotNames.has(slot));
    const made: { variable: VariableState; slot: string; offset: number }[] = [];
    using added = new DisposableStack();
    added.defer(() => made.forEach(({ offset }) => this.#memory.release(this.arena, offset)));
    for (const [slot] of missing) {
      for (const variable of this.optimized) {
        made.push({ variable, slot, offset: this.#memory.allocate(this.arena, 4 * variable.count) });
      }
    }
    for (const [slot] of missing) this.#slotNames.add(slot);
    for (const { variable, slot, offset } of made) {
      variable.slots.set(slot, offset);
      if (!isBlank) this.arena.f32(offset, variable.count).fill(initialOf(rule, slot));
    }
    added.defer(() => {
      for (const { variable, slot } of made) variable.slots.delete(slot);
      for (const [slot] of missing) this.#slotNames.delete(slot);
    });
    return added.move();
  }

  /** Marks the slots of these variables as created, in Keras' order. */
  createSlots(rule: Rule, variables: readonly VariableState[]): void {
    const names = Object.keys(rule.slots);
    const lacking = variables.filter(({ slots }) =>
      names.some((slot) => !this.#createdOffsets.has(slots.get(slot) as number))
    );
    for (const created of creationOrder(rule, lacking)) this.markCreated(created);
  }

  /** The slots that start with the variable's present value and that no gradient has created yet. */
  startingAs(rule: Rule, { slots }: VariableState): string[] {
    return Object.keys(rule.slots)
      .filter((slot) => rule.slots[slot] === "w" && !this.#createdOffsets.has(slots.get(slot) as number));
  }

  markCreated(slot: CreatedSlot): void {
    const offset = slot.variable.slots.get(slot.slot) as number;
    if (this.#createdOffsets.has(offset)) return;
    this.#createdOffsets.add(offset);
    this.#created.push(slot);
  }

  /** The slots that Keras would have created by now, in its order. */
  get created(): readonly CreatedSlot[] {
    return this.#created;
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
    return this.arena.f32(variable.slots.get(slot) as number, variable.count);
  }

  /**
   * Moves to an arena of its own size, if its own has grown far beyond it and holds nothing else: bodies and rounds need
   * memory only for a time, but the memory of an arena cannot shrink. Returns whether it did.
   */
  shrink(): boolean {
    const regions = [...this.variables.values()].flatMap(({ offset, slots, count }) =>
      [offset, ...slots.values()].map((from) => ({ from, bytes: 4 * count }))
    );
    const used = regions.reduce((sum, { bytes }) => sum + aligned(bytes), 0);
    const target = this.#memory.smaller(this.#arena, used);
    if (!target) return false;
    const places = new Map(regions.map(({ from, bytes }) => [from, target.allocate(bytes)]));
    for (const { from, bytes } of regions) {
      target.u8(places.get(from) as number, bytes).set(this.#arena.u8(from, bytes));
      this.#memory.release(this.#arena, from);
    }
    this.#memory.drop(this.#arena);
    const moved = (from: number | undefined) => places.get(from as number) as number;
    const created = [...this.#createdOffsets].map(moved);
    for (const variable of this.variables.values()) {
      variable.offset = moved(variable.offset);
      for (const [slot, from] of variable.slots) variable.slots.set(slot, moved(from));
    }
    this.#createdOffsets.clear();
    for (const offset of created) this.#createdOffsets.add(offset);
    this.#arena = target;
    return true;
  }

  /** A copy that no later step changes. */
  copyVariable(variable: VariableState): NamedTensor {
    return { name: variable.name, shape: variable.shape, values: this.values(variable).slice() };
  }

  copySlot(variable: VariableState, slot: string): NamedTensor {
    return { name: variable.name, shape: variable.shape, values: this.slotValues(variable, slot).slice() };
  }

  release(): void {
    for (const { offset, slots } of this.variables.values()) {
      this.#memory.release(this.arena, offset);
      for (const slot of slots.values()) this.#memory.release(this.arena, slot);
    }
    this.variables.clear();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
