/** Gives a new run the state that a checkpoint says it had, except for the tensors. */
import { refusal } from "../../errors.ts";
import { type Optimizer, ruleOf, slotsOfAnyVariant } from "../../families/optimizers/optimizer.ts";
import { inPieces } from "../../slices.ts";
import { showShape } from "../../tensor.ts";
import { flatten } from "../../wire/nested_numbers.ts";
import { optimizersOf, type ResolvedSpec } from "../spec/spec.ts";
import type { RunState } from "../tensors/state.ts";
import type { SavedRun } from "./checkpoint_format.ts";

/** How long it takes to mark a slot as created, in nanoseconds. */
const CREATED_UNITS = 200;

/** In pieces. Throws invalid_request and out_of_memory. */
export function* takingState(
  saved: SavedRun,
  state: RunState,
  spec: ResolvedSpec,
): Generator<number, void> {
  const parts = [saved, ...saved.groups ?? []];
  optimizersOf(spec).forEach((optimizer, group) =>
    addIdleSlots(state, optimizer, { group, saved: (parts[group] as SavedGroup).slots })
  );
  state.iterations = saved.iterations;
  state.hypersCreated = saved.hypers_created;
  state.clipNorm = readClipNorm(saved, spec.aggregation, state.clipNorm);
  state.scalars = optimizersOf(spec).map((optimizer, group) =>
    readScalars((parts[group] as SavedGroup).scalars, Object.keys(ruleOf(optimizer).state ?? {}))
  );
  if (!saved.hypers_created && (saved.iterations > 0 || saved.created.length > 0)) {
    refuse("hypers_created is false, must be true for an optimizer that has made a step");
  }
  yield* inPieces(saved.created, CREATED_UNITS, ({ variable: name, slot }) => {
    const variable = state.variables.get(name);
    if (!variable || !variable.home.slots.has(slot)) {
      refuse(`created holds "${slot}" of "${name}", must be slots and variables of the run`);
    }
    state.markCreated({ variable, slot });
  });
}

type SavedGroup = Pick<SavedRun, "slots" | "scalars">;

/** Slots that the present switches do not use are allocated too; the checkpoint's tensors fill them. */
function addIdleSlots(
  state: RunState,
  { member, ...optimizer }: Optimizer,
  { group, saved }: { readonly group: number; readonly saved: readonly string[] },
): void {
  const rule = ruleOf({ member, ...optimizer }), present = Object.keys(rule.slots);
  const idle = saved.filter((slot) => !present.includes(slot)), known = slotsOfAnyVariant(member);
  const strange = idle.find((slot) => !known.has(slot));
  if (strange !== undefined) refuse(`slots hold "${strange}", must be slots of ${member.class_name}`);
  state.addSlots({ ...rule, slots: Object.fromEntries(idle.map((slot) => [slot, 0])) }, group);
}

/** `otherwise`: the bound of a new run, which is the one that does not move. */
function readClipNorm(
  { clip_norm: bound }: SavedRun,
  { clientClipnorm }: ResolvedSpec["aggregation"],
  otherwise: number | null,
): number | null {
  const moves = typeof clientClipnorm === "object" && clientClipnorm !== null;
  if (moves !== (bound !== undefined)) {
    refuse(`clip_norm is ${bound ?? "missing"}, must be there if and only if the run's bound moves`);
  }
  if (bound === undefined) return otherwise;
  if (Math.fround(bound) !== bound) refuse(`clip_norm is ${bound}, must be a float32 number`);
  return bound;
}

function readScalars(saved: Readonly<Record<string, unknown>>, names: readonly string[]) {
  if (Object.keys(saved).toSorted().join() !== names.toSorted().join()) {
    refuse(`scalars are ${Object.keys(saved).join(", ") || "none"}, must be ${names.join(", ") || "none"}`);
  }
  return Object.fromEntries(names.map((name) => {
    const { shape, values } = flatten(saved[name], `stepwell.scalars.${name}`);
    if (shape.length > 0) refuse(`scalars.${name} has shape ${showShape(shape)}, must be []`);
    return [name, values[0] as number];
  }));
}

/** Refuses a checkpoint. */
export function refuse(problem: string): never {
  throw refusal("invalid_request", "restore the checkpoint", { path: "checkpoint", called: "" }, problem);
}
