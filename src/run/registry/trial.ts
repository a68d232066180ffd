/**
 * Tries a definition out before it is registered: takes steps of a tiny run, dense and sparse, with compiled kernels
 * and with the interpreter.
 *
 * Invariant: the tiny run is removed afterwards. If a definition passed its checks and fails here, the service has a
 * bug.
 */
import { runCompiled, runInterpreted, type Runner } from "../../../kernels/compiler/runner.ts";
import type { Definition } from "../../families/optimizers/member/definition_schema.ts";
import { OptimizerSet } from "../../families/optimizers/custom/optimizer_set.ts";
import { ruleOf } from "../../families/optimizers/optimizer.ts";
import { perform } from "../step/instruction.ts";
import type { Memory } from "../tensors/memory.ts";
import { resolveSpec } from "../spec/spec.ts";
import { ArenaStaging } from "../staging/staging.ts";
import { RunState } from "../tensors/state.ts";
import { planStep } from "../step/plan_step.ts";
import { writeTensors } from "../../wire/json_tensors.ts";

const STEPS = 2;
/** One dense matrix, one with a repeated sparse row, and one whose rows have one element. */
const VARIABLES = [
  { name: "dense", shape: [3, 6] },
  { name: "rows", shape: [4, 3] },
  { name: "elements", shape: [5] },
];
const GRADIENTS = {
  dense: Array.from(
    { length: 3 },
    (_, row) => Array.from({ length: 6 }, (_, at) => (row - 1.25) * (at - 2.5)),
  ),
  rows: { indices: [2, 0, 2], values: [[1, -2, 0.5], [0.25, 3, -1], [-4, 0.125, 2]] },
  elements: { indices: [4, 1, 4], values: [1.5, -0.75, 2.25] },
};

/** Throws out_of_memory, and an error if the compiled kernels and the interpreter differ. */
export function tryOut(definition: Definition, memory: Memory): void {
  const compiled = trial(definition, { memory, runner: runCompiled });
  const interpreted = trial(definition, { memory, runner: runInterpreted });
  const apart = compiled.findIndex((value, at) => !Object.is(value, interpreted[at]));
  if (apart < 0) return;
  throw new Error(
    `${definition.class_name} gives ${compiled[apart]} compiled and ${interpreted[apart]} interpreted: ${
      JSON.stringify(definition)
    }`,
  );
}

/** Every number of the tiny run after its steps. */
function trial(definition: Definition, { memory, runner }: { memory: Memory; runner: Runner }): number[] {
  const set = new OptimizerSet();
  set.add(definition);
  const spec = resolveSpec({ optimizer: definition.class_name, variables: VARIABLES }, set.family);
  using state = new RunState(memory, spec, ruleOf(spec.optimizer));
  for (const variable of state.optimized) {
    state.values(variable).set(Array.from({ length: variable.count }, (_, at) => at / 4 - 1));
  }
  for (let n = 0; n < STEPS; n++) {
    using staging = new ArenaStaging({
      kind: "gradients",
      memory,
      state,
      keepsBytes: false,
      released: () => {},
    });
    writeTensors(GRADIENTS, staging, "gradients");
    const plan = planStep({ state, spec, optimizers: [spec.optimizer], staging, runner });
    perform(state, plan.instructions, runner);
    state.scalars = plan.scalars;
    state.iterations += 1;
  }
  return [
    ...state.optimized.flatMap((variable) => [
      ...state.values(variable),
      ...state.slotNames.flatMap((slot) => [...state.slotValues(variable, slot)]),
    ]),
    ...state.scalars.flatMap((each) => Object.values(each)),
  ];
}
