/**
 * Where a run's variables and slots lie. Small variables of one role and group share a home, in which they lie side by side
 * without gaps, so that one kernel call can reach many of them; a large variable has a home of its own.
 *
 * Invariant: every tensor of a home, its variables and each slot of them, has the same layout.
 */
import { BLOCK } from "../../../kernels/compiler/interpret.ts";
import { inPieces } from "../../slices.ts";
import { elementCount, type Shape } from "../../tensor.ts";
import type { ResolvedVariable } from "../spec/spec.ts";

/** From this count of elements on, a variable's calls cost more than their preparation. */
const SMALL_COUNT_MAX = BLOCK - 1;

/** A region for variables, and one for each slot of them. */
export interface Home {
  readonly role: ResolvedVariable["role"];
  /** The group of all its variables: 0 is the default one. */
  readonly group: number;
  /** In the order of their places. */
  readonly variables: readonly VariableState[];
  readonly bytes: number;
  /** Byte offset of the variables. It changes with the arena. */
  offset: number;
  /** Byte offset per slot. */
  readonly slots: Map<string, number>;
}

/** A variable in the arena. Rows are along the first axis; a scalar is one row of one element. */
export class VariableState implements ResolvedVariable {
  readonly name: string;
  readonly shape: Shape;
  readonly constraint: ResolvedVariable["constraint"];
  readonly role: ResolvedVariable["role"];
  readonly group: number;
  /** Its place in the run's list. */
  readonly index: number;
  readonly count: number;
  readonly rows: number;
  readonly rowLength: number;
  readonly home: Home;
  /** Byte offset in each region of its home. */
  readonly place: number;

  constructor(
    { name, shape, constraint, role, group }: ResolvedVariable,
    { index, home, place = home.bytes }: { index: number; home: Home; place?: number },
  ) {
    this.name = name;
    this.shape = shape;
    this.constraint = constraint;
    this.role = role;
    this.group = group;
    this.index = index;
    this.count = elementCount(shape);
    this.rows = shape[0] ?? 1;
    this.rowLength = this.rows === 0 ? 0 : this.count / this.rows;
    this.home = home;
    this.place = place;
  }

  /** `count` elements from the first of this variable on as one tensor, over variables that lie side by side. */
  spanning(count: number): VariableState {
    const { name, role, group, index, home, place } = this;
    return new VariableState({ name, shape: [count], constraint: null, role, group }, { index, home, place });
  }

  /** Byte offset of the float32 values. It changes with the arena. */
  get offset(): number {
    return this.home.offset + this.place;
  }

  /** Byte offset of a slot that the run has. */
  slotOffset(slot: string): number {
    return this.home.slots.get(slot) as number + this.place;
  }
}

/** The variables of a run, and their homes, which have no regions yet. */
export interface Settled {
  readonly variables: readonly VariableState[];
  readonly byName: Map<string, VariableState>;
  readonly homes: readonly Home[];
}

/** How long it takes to settle a variable, in nanoseconds. */
const VARIABLE_UNITS = 600;

/** Makes the variables of a run and their homes, in pieces. */
export function* settling(variables: readonly ResolvedVariable[]): Generator<number, Settled> {
  type Growing = Home & { variables: VariableState[]; bytes: number };
  const homes: Growing[] = [];
  const shared = new Map<string, Growing>();
  const newHome = ({ role, group }: ResolvedVariable) => {
    const home: Growing = { role, group, variables: [], bytes: 0, offset: 0, slots: new Map() };
    homes.push(home);
    return home;
  };
  const settled: VariableState[] = [], byName = new Map<string, VariableState>();
  yield* inPieces(variables, VARIABLE_UNITS, (variable) => {
    const key = `${variable.role} ${variable.group}`,
      isSmall = elementCount(variable.shape) <= SMALL_COUNT_MAX;
    let home = isSmall ? shared.get(key) : undefined;
    if (!home) {
      home = newHome(variable);
      if (isSmall) shared.set(key, home);
    }
    const made = new VariableState(variable, { index: settled.length, home });
    home.variables.push(made);
    home.bytes += 4 * made.count;
    settled.push(made);
    byName.set(made.name, made);
  });
  return { variables: settled, byName, homes };
}
