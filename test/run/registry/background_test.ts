/** Failures of background work are reported once per run, and the work continues with the other runs. */
import assert from "node:assert/strict";
import { StepwellError } from "../../../src/errors.ts";
import type { BackgroundFailure } from "../../../src/run/registry/evictor.ts";
import { NO_SPACE } from "../../store/support/disk.ts";
import { step } from "../support/harness.ts";
import { GRADIENT, newWorld, request, SMALL } from "../support/stored.ts";

const codes = (failures: readonly BackgroundFailure[]) =>
  failures.map(({ run, error }) => [run, error instanceof StepwellError ? error.code : String(error)]);

/** Runs "a", "b" and "c" with one step each, and the reported failures. */
async function threeRuns(options: { journalBytesMax?: number } = {}) {
  const failures: BackgroundFailure[] = [];
  const world = await newWorld({ ...options, onFailure: (failure) => failures.push(failure) });
  for (const id of ["a", "b", "c"]) {
    await world.registry.create({ ...SMALL, id });
    await request(world.registry, id, (session) => step(session, GRADIENT));
  }
  return { world, failures };
}

for (const [what, act] of Object.entries({ sweep: { idleMs: 0 }, shutdown: undefined })) {
  Deno.test(`${what}() reports a snapshot that fails, and continues with the other runs`, async () => {
    const { world, failures } = await threeRuns();
    await using _ = world;
    const folder = world.disk.paths.find((path) => path.includes("/snapshot-0"))?.replace(
      /\/snapshot-0.*/,
      "",
    );
    world.disk.fault = (operation, path) => {
      if (operation === "create" && path.startsWith(`${folder}/`)) throw new Error(NO_SPACE);
    };
    await (act ? world.registry.sweep(act) : world.registry.shutdown());
    assert.deepEqual(codes(failures), [["a", "storage_full"]]);
    world.disk.fault = () => {};
    const versions = ["a", "b", "c"].map((id) => world.registry.get(id).describe().snapshot_version);
    assert.deepEqual(versions, [0, 1, 1]);
    assert.equal(world.registry.get("a").version, 1);
  });
}

Deno.test("sweep() reports a run that cannot be taken out of memory", async () => {
  const { world, failures } = await threeRuns();
  await using _ = world;
  const session = world.registry.get("b");
  const trouble = new Error("It does not close");
  Object.assign(session, {
    close: () => {
      throw trouble;
    },
  });
  await world.registry.sweep({ idleMs: 0 });
  assert.deepEqual(failures, [{ run: "b", error: trouble }]);
  assert.equal(world.registry.figures().runsInMemory, 1);
});

Deno.test("sweep() reports nothing about a run that is deleted, or replaced, while its snapshot is written", async () => {
  const { world, failures } = await threeRuns({ journalBytesMax: 0 });
  await using _ = world;
  let deletion: Promise<void> | undefined;
  world.fault = (method) => {
    if (method === "replace") deletion ??= world.registry.delete("a");
  };
  await world.registry.sweep({ idleMs: 1e9 });
  await deletion;
  assert.ok(!world.registry.has("a"));
  assert.deepEqual(codes(failures), []);
});
