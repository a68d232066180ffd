/** A transformer block with the usual groups of AdamW, trained through the service, against test/golden/groups.json. */
import assert from "node:assert/strict";
import golden from "../golden/groups.json" with { type: "json" };
import { f32, file, startService } from "./support/harness.ts";

/** As make_groups.py: a multiple of 1/256 in [-1, 1). */
function noise(seed: number): number {
  const mixed = Number((BigInt(seed) * 1103515245n + 12345n) % 2147483648n);
  return ((mixed >> 12) % 512 - 256) / 256;
}

Deno.test("a transformer block with a group without decay is trained as AdamW with two groups trains it", async () => {
  const service = await startService(), { steps, config, variables } = golden;
  const valuesOf = (place: number, count: number, step: number) =>
    Array.from({ length: count }, (_, at) => noise(7919 * step + 1000 * place + at));
  const created = await service.send("POST", "/v1/runs", {
    body: {
      id: "block",
      optimizer: { module: "torch.optim", class_name: "AdamW", config },
      groups: [{ name: "no_decay", variables: ["*/bias", "norm_?/*"], hyperparameters: { weight_decay: 0 } }],
      variables: variables.map(({ name, shape }) => ({ name, shape })),
    },
  });
  assert.equal(created.status, 201, await created.text());
  const bodyAt = (step: number) =>
    file(Object.fromEntries(
      variables.map(({ name, shape, values }, place) =>
        [name, f32(shape, valuesOf(place, values.length, step))] as const
      ),
    ));
  const set = await service.send("PUT", "/v1/runs/block/variables", { body: bodyAt(0) });
  assert.equal(set.status, 200, await set.text());
  for (let step = 1; step <= steps; step++) {
    const response = await service.send("POST", "/v1/runs/block/gradients", { body: bodyAt(step) });
    const { groups } = await response.json();
    assert.deepEqual(Object.keys(groups), ["default", "no_decay"]);
  }
  const response = await service.send("GET", "/v1/runs/block/variables");
  const { iterations, variables: trained } = await response.json();
  assert.equal(iterations, steps);
  for (const { name, values } of variables) {
    const own: number[] = trained[name].flat();
    const off = Math.max(...values.map((value, at) => Math.abs(value - (own[at] as number))));
    assert.ok(off < 1e-5, `${name} is off by ${off}`);
  }
});
