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
import { initialOf, type RunState, type VariableState } from "./state.ts";
import type { Home } from "./variable_state.ts";

/** Numbers that are written between two looks at the work: 64 KiB, and 4 MiB of a constant. */
const PART = 16 * 1024, CONSTANT_PART = 1024 ** 2;
/** Work of one variable and of one number, in nanoseconds: a normally distributed number takes the most. */
const VARIABLE_UNITS = 5000, ZERO_UNITS = 20, NUMBER_UNITS = 60, FILLED_UNITS = 1;
/**
 * What the initializers of one run may take together, beyond a few operations per number: Orthogonal of [1000, 1000]
 * takes 2e9 multiplications, which are 3 to 6 s in slices.
 */
const WORK_MAX = 2.5e9;

const INITIALIZER = z.union([z.string(), z.object({ class_name: z.string() })]);

interface Origin {
  /** By group. */
  readonly rules: readonly Rule[];
  readonly drawSeed: () => number;
}

/** Fills the slots too. Throws shape_mismatch, invalid_number, unknown_class, invalid_config. */
export async function writeInitialValues(
  variables: readonly VariableSpec[],
  state: RunState,
  { rules, drawSeed }: Origin,
): Promise<void> {
  const slices = new Slices();
  // All are looked at before the first is begun, so that a run is refused before any work is done.
  const fillings: (Filling | undefined)[] = [];
  let workMax = WORK_MAX;
  for (const [index, variable] of variables.entries()) {
    const filling = fillingOf(variable, `variables.${index}.initial`, { drawSeed, workMax });
    workMax -= filling?.work ?? 0;
    fillings.push(filling);
    if (slices.isOver(filling ? VARIABLE_UNITS : ZERO_UNITS)) await nextTurn();
  }
  // Zeros first: of variables that lie side by side, at once.
  for (const home of state.homes) {
    const [first, second] = home.variables;
    const isFilled = first && !second && fillings[first.index] !== undefined;
    if (!isFilled) await writeConstant(state, home, { offset: home.offset, value: 0, slices });
    for (const slot of home.slots.keys()) {
      const value = initialOf(rules[home.group] as Rule, slot);
      await writeConstant(state, home, { offset: home.slots.get(slot) as number, value, slices });
    }
  }
  for (const variable of state.variables.values()) {
    const filling = fillings[variable.index];
    if (filling) await write(state, variable, filling, slices);
  }
}

async function writeConstant(
  { arena }: RunState,
  { bytes }: Home,
  { offset, value, slices }: { readonly offset: number; readonly value: number; readonly slices: Slices },
): Promise<void> {
  for (let from = 0; from < bytes; from += 4 * CONSTANT_PART) {
    const count = Math.min(CONSTANT_PART, (bytes - from) / 4);
    arena.f32(offset + from, count).fill(value);
    if (slices.isOver(FILLED_UNITS * count)) await nextTurn();
  }
}

async function write(
  state: RunState,
  { offset, count }: VariableState,
  { begin, units, drawnFor }: Filling,
  slices: Slices,
): Promise<void> {
  const begun = begin(), fill = begun instanceof Promise ? await begun : begun;
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

/** Undefined: zeros. */
function fillingOf(
  variable: VariableSpec,
  path: string,
  options: { readonly drawSeed: () => number; readonly workMax: number },
): Filling | undefined {
  const { shape, initial = 0 } = variable;
  if (Object.is(initial, 0)) return undefined;
  if (typeof initial !== "number" && !Array.isArray(initial) && INITIALIZER.safeParse(initial).success) {
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
