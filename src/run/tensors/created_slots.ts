/**
 * The slots that Keras would have created by now, in its order: it creates a variable's slots at its first gradient.
 *
 * It allocates nothing. Invariant: each is in the list once.
 */
import type { Rule } from "../../families/optimizers/member/optimizer_member.ts";
import type { VariableState } from "./variable_state.ts";

/** A slot of a variable: one weight in Keras. */
export interface CreatedSlot {
  readonly variable: VariableState;
  readonly slot: string;
}

/** The order in which Keras creates the slots of these variables. `rules` are those of the groups. */
export function creationOrder(
  rules: readonly Rule[],
  variables: readonly VariableState[],
): CreatedSlot[] {
  const slots = rules.map((rule) => new Set(Object.keys(rule.slots)));
  const slotsOf = ({ group }: VariableState) => slots[group] as ReadonlySet<string>;
  if (rules[0]?.slotOrder === "variable") {
    return variables.flatMap((variable) => [...slotsOf(variable)].map((slot) => ({ variable, slot })));
  }
  return [...new Set(slots.flatMap((names) => [...names]))].flatMap((slot) =>
    variables.flatMap((variable) => slotsOf(variable).has(slot) ? [{ variable, slot }] : [])
  );
}

export class CreatedSlots {
  readonly list: CreatedSlot[] = [];
  /** Which variables' slots are created, by slot and index, and how many in each group. */
  readonly #found = new Map<string, { readonly bits: Uint8Array; readonly counts: number[] }>();
  /** By group: how many variables steps change. */
  readonly #counts: number[] = [];
  readonly #indices: number;

  /** `optimized`: all variables that have slots. */
  constructor(optimized: readonly VariableState[]) {
    this.#indices = 1 + (optimized.at(-1)?.index ?? 0);
    for (const { group } of optimized) this.#counts[group] = (this.#counts[group] ?? 0) + 1;
  }

  /** Marks the slots of these variables, in Keras' order. `rules` are those of the groups. */
  create(rules: readonly Rule[], variables: readonly VariableState[]): void {
    const names = rules.map((rule) => Object.keys(rule.slots));
    if (names.every((slots, group) => slots.every((slot) => this.areAll(slot, group)))) return;
    const lacking = variables.filter((variable) =>
      (names[variable.group] as string[]).some((slot) => !this.has({ variable, slot }))
    );
    for (const created of creationOrder(rules, lacking)) this.mark(created);
  }

  mark(created: CreatedSlot): void {
    const { slot, variable } = created;
    let found = this.#found.get(slot);
    if (!found) this.#found.set(slot, found = { bits: new Uint8Array(this.#indices), counts: [] });
    if (found.bits[variable.index] === 1) return;
    found.bits[variable.index] = 1;
    found.counts[variable.group] = (found.counts[variable.group] ?? 0) + 1;
    this.list.push(created);
  }

  has({ variable, slot }: CreatedSlot): boolean {
    return this.#found.get(slot)?.bits[variable.index] === 1;
  }

  /** Whether all variables of a group have the slot. */
  areAll(slot: string, group: number): boolean {
    return (this.#found.get(slot)?.counts[group] ?? 0) === (this.#counts[group] ?? 0);
  }
}
