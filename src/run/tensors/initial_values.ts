/**
 * Writes the initial values of a new run's variables and slots: nested numbers, a base64 tensor, a number or an initializer.
 *
 * It works in slices and writes straight into the variables' regions, so that a large run delays nobody and needs no
 * second copy.
 */
import { z } from "zod";
import { countNonFinite } from "../../../kernels/routines/non_finite.ts";
import { refusal } from "../../errors.ts";
import type { Fill } from "../../families/initializers/initializer.ts";
import { initialize } from "../../families/initializers/mod.ts";
import type { Rule } from "../../families/optimizers/member/optimizer_member.ts";
import { nextTurn, Slices } from "../../slices.ts";
import { fitsShape, showShape } from "../../tensor.ts";
import { readTensor } from "../../wire/json_tensors.ts";
import type { VariableSpec } from "../api/run_spec.ts";
import { initialOf, type RunState } from "./state.ts";

/** Numbers that are written between two looks at the work: 64 KiB. */
const PART = 16 * 1024;
/** Work of one variable and of one number, in nanoseconds: a normally distributed number takes the most. */
const VARIABLE_UNITS = 5000, NUMBER_UNITS = 60, FILLED_UNITS = 1;
/**
 * What the initializers of one run may take together, beyond a few operations per number: Orthogonal of [1000, 1000]
 * takes 2e9 multiplications, which are 3 to 6 s in slices.
 */
const WORK_MAX = 2.5e9;

const INITIALIZER = z.union([z.string(), z.object({ class_name: z.string() })]);

interface Origin {
  readonly rule: Rule;
  readonly drawSeed: () => number;
}

/** Fills the slots too. Throws shape_mismatch, invalid_number, unknown_class, invalid_config. */
export async function writeInitialValues(
  variables: readonly VariableSpec[],
  state: RunState,
  { rule, drawSeed }: Origin,
): Promise<void> {
  const slices = new Slices();
  const write = async (offset: number, count: number, { begin, units, drawnFor }: Filling) => {
    const fill = await begin();
    if (slices.isOver(VARIABLE_UNITS)) await nextTurn();
    for (let from = 0; from < count; from += PART) {
      const size = Math.min(PART, count - from);
      fill(state.arena.f32(offset + 4 * from, size), from);
      if (drawnFor !== undefined && countNonFinite(state.arena, offset + 4 * from, size) > 0) {
        const problem = "draws numbers that float32 cannot hold, must draw finite ones";
        throw refusal("invalid_config", "create the run", drawnFor, problem);
      }
      if (slices.isOver(units * size)) await nextTurn();
    }
  };
  // All are looked at before the first is begun, so that a run is refused before any work is done.
  const fillings: Filling[] = [];
  let workMax = WORK_MAX;
  for (const [index, variable] of variables.entries()) {
    const filling = fillingOf(variable, `variables.${index}.initial`, { drawSeed, workMax });
    workMax -= filling.work;
    fillings.push(filling);
    if (slices.isOver(VARIABLE_UNITS)) await nextTurn();
  }
  for (const [index, { name }] of variables.entries()) {
    const { offset, count } = state.variable(name);
    await write(offset, count, fillings[index] as Filling);
  }
  for (const slot of state.slotNames) {
    const filling = { begin: () => constant(initialOf(rule, slot)), work: 0, units: FILLED_UNITS };
    for (const variable of state.optimized) await write(variable.slotOffset(slot), variable.count, filling);
  }
}

interface Filling {
  begin(): Fill | Promise<Fill>;
  /** Multiplications that `begin` takes. */
  readonly work: number;
  /** Work of one number. */
  readonly units: number;
  /** The path of the initializer; undefined for values that are given. */
  readonly drawnFor?: string;
}

function fillingOf(
  variable: VariableSpec,
  path: string,
  options: { readonly drawSeed: () => number; readonly workMax: number },
): Filling {
  const { shape, initial = 0 } = variable;
  if (typeof initial !== "number" && INITIALIZER.safeParse(initial).success) {
    const { begin, work } = initialize(initial, shape, { path, ...options });
    return { begin, work, units: NUMBER_UNITS, drawnFor: path };
  }
  return { begin: () => givenValues(variable, path), work: 0, units: FILLED_UNITS };
}

function givenValues({ name, shape, initial = 0 }: VariableSpec, path: string): Fill {
  const { shape: given, values } = readTensor(initial, path);
  if (given.length === 0 && shape.length > 0) return constant(values[0] as number);
  if (!fitsShape(given, shape)) {
    const problem = `has shape ${showShape(given)}, must be ${showShape(shape)}`;
    throw refusal("shape_mismatch", `set the variable "${name}"`, { path, called: "initial" }, problem);
  }
  return (part, first) => part.set(values.subarray(first, first + part.length));
}

const constant = (value: number): Fill => (part) => void part.fill(value);
