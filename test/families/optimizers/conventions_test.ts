/** The rules of other frameworks, held to trajectories of those frameworks (test/golden/conventions). */
import assert from "node:assert/strict";
import { newRegistry, slotsOf, step, tensor, variablesOf } from "../../run/support/harness.ts";
import { decode } from "../support/goldens.ts";
import {
  gradient,
  initial,
  readTrajectories,
  ROWS,
  SHAPE,
  sparseGradient,
  type Trajectory,
} from "../support/trajectories.ts";

function assertClose(
  got: readonly number[],
  want: Float32Array,
  { bound, what }: { bound: number; what: string },
) {
  assert.equal(got.length, want.length, what);
  const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  want.forEach((value, at) => {
    const apart = Math.abs((got[at] as number) - value) / largest;
    assert(
      largest === 0 ? got[at] === 0 : apart <= bound,
      `${what}[${at}] is ${got[at]}, must be ${value}: ${apart}`,
    );
  });
}

async function follow(
  { optimizer, sparse = false, after, slots }: Trajectory,
  { bound, slots_bound }: { bound: number; slots_bound: number },
) {
  const shape = sparse ? ROWS : SHAPE;
  const run = await newRegistry().create({
    optimizer,
    variables: [{ name: "w", shape, initial: tensor(shape, initial(shape)) }],
  });
  const last = Math.max(...Object.keys(after).map(Number));
  for (let n = 1; n <= last; n++) {
    const { indices, values } = sparseGradient(n);
    step(run, {
      w: sparse ? { indices, values: tensor([indices.length, 2], values) } : tensor(shape, gradient(n)),
    });
    const want = after[n];
    if (want) assertClose(variablesOf(run)["w"] ?? [], decode(want), { bound, what: `w after step ${n}` });
  }
  const held = slotsOf(run);
  assert.deepEqual(Object.keys(held).sort(), Object.keys(slots).sort());
  for (const [slot, want] of Object.entries(slots)) {
    assertClose(held[slot]?.["w"] ?? [], decode(want), { bound: slots_bound, what: slot });
  }
}

for (const framework of ["torch", "keras", "tf_keras", "optax"]) {
  const golden = readTrajectories(framework);
  for (const trajectory of golden.cases) {
    Deno.test(`${framework} takes the steps of ${trajectory.name}`, () =>
      follow(trajectory, { ...golden, ...trajectory }));
  }
}
