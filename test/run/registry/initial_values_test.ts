/** New runs are filled in slices: others are served meanwhile, and nothing of an earlier run is left in the memory. */
import assert from "node:assert/strict";
import { newRegistry, refusalAsync, slotsOf, step, variablesOf } from "../support/harness.ts";

Deno.test("create() lets other work run when the initial values are many", async () => {
  const registry = newRegistry();
  for (const initial of ["GlorotNormal", 0.5]) {
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    await registry.create({ optimizer: "SGD", variables: [{ name: "w", shape: [5000, 5000], initial }] });
    clearInterval(timer);
    assert(turns >= 2, `${initial}: ${turns} turns`);
  }
});

Deno.test("create() fills variables and slots anew when the memory was used before", async () => {
  const registry = newRegistry();
  const optimizer = { class_name: "Adagrad", config: { initial_accumulator_value: 0.25 } };
  const variables = [{ name: "w", shape: [20_000], initial: 3 }, { name: "v", shape: [300_000] }];
  const first = await registry.create({ id: "first", optimizer, variables });
  step(first, { w: Array(20_000).fill(1), v: Array(300_000).fill(2) });
  await registry.delete("first");
  const session = await registry.create({ optimizer, variables });
  step(session, { w: { indices: [1], values: [0] } });
  assert(Object.values(slotsOf(session)).every(({ w }) => w?.every((value) => value === 0.25)));
  const { w, v } = variablesOf(session);
  assert(w?.every((value) => value === 3) && v?.every((value) => value === 0));
});

Deno.test("create() counts the work of all initializers of a run together", async () => {
  const registry = newRegistry();
  const variables = Array.from(
    { length: 20 },
    (_, n) => ({ name: `${n}`, shape: [80, 1e4], initial: "Orthogonal" }),
  );
  const { code } = await refusalAsync(() => registry.create({ optimizer: "SGD", variables }));
  assert.equal(code, "invalid_config");
  const { issues: [issue] } = await refusalAsync(() =>
    registry.create({
      optimizer: "SGD",
      variables: [{ name: "a", shape: [1200, 1200], initial: "Orthogonal" }],
    })
  );
  assert.match(issue?.message ?? "", /takes 3456000000 multiplications .* at most 2500000000/);
  assert.equal(registry.figures().runs, 0);
});
