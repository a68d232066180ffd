/** The bound on a checkpoint's header: never below the header that is written, nor far above it. */
import assert from "node:assert/strict";
import { atOnce } from "../../../src/slices.ts";
import fc from "fast-check";
import { headerBytes } from "../../../src/run/checkpoint/header_size.ts";
import { headerOf, layingOut } from "../../../src/wire/safetensors_writer.ts";
import type { RunSpec, VariableSpec } from "../../../src/run/api/run_spec.ts";
import { optimizers } from "../../../src/families/optimizers/mod.ts";
import { resolveSpec } from "../../../src/run/spec/spec.ts";
import { checkpointOf, restore } from "./support/checkpoints.ts";
import { newRegistry, refusalAsync, step } from "../support/harness.ts";
import { specOf, VARIANTS } from "../support/variants.ts";

function writtenBytes(session: Awaited<ReturnType<ReturnType<typeof newRegistry>["create"]>>): number {
  const { metadata, tensors, release } = session.checkpoint();
  release();
  return headerOf(atOnce(layingOut(tensors)), metadata).length - 8;
}

const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 })
  // deno-lint-ignore no-control-regex -- as the schema of names
  .filter((text) => /^[^#\u0000-\u001f\u007f]*$/.test(text) && text !== "__metadata__");
const variable = fc.record({
  name: fc.oneof(name, fc.string({ unit: fc.constantFrom('"', "\\", "\ud800", "ü", "/"), minLength: 1 })),
  shape: fc.array(fc.constantFrom(0, 1, 2), { maxLength: 5 }),
  role: fc.constantFrom("optimize" as const, "average" as const),
});

Deno.test("the bound on a header holds for every optimizer and any names, after steps too", async () => {
  const registry = newRegistry();
  const variables = fc.uniqueArray(variable, { minLength: 1, maxLength: 8, selector: ({ name }) => name })
    .filter((all) => all.some(({ role }) => role === "optimize"));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...VARIANTS), variables, async (variant, variables) => {
      const spec: RunSpec = { ...specOf(variant), variables: variables as VariableSpec[] };
      const session = await registry.create(spec);
      const bound = headerBytes(resolveSpec(spec, optimizers));
      assert.ok(writtenBytes(session) <= bound);
      const optimized = variables.filter(({ role }) => role === "optimize");
      const ones = (shape: readonly number[]): unknown =>
        shape.length === 0 ? 1 : { dtype: "float32", shape, base64: base64Of(shape) };
      step(session, Object.fromEntries(optimized.map(({ name, shape }) => [name, ones(shape)])));
      assert.ok(writtenBytes(session) <= bound);
      await registry.delete(session.id);
    }),
    { numRuns: 200 },
  );
});

const base64Of = (shape: readonly number[]) =>
  new Uint8Array(4 * shape.reduce((product, n) => product * n, 1)).toBase64();

Deno.test("the bound is within a third of the header of a run with many names", async () => {
  const variables = Array.from(
    { length: 500 },
    (_, at) => ({ name: `layer.${at}`.padEnd(60, "x"), shape: [1] }),
  );
  const spec = { optimizer: "Adagrad", variables };
  const session = await newRegistry().create(spec);
  step(session, Object.fromEntries(variables.map(({ name }) => [name, [1]])));
  const bound = headerBytes(resolveSpec(spec, optimizers));
  const written = writtenBytes(session);
  assert.ok(bound < 4 / 3 * written, `${bound} for ${written}`);
});

Deno.test("a run whose checkpoint nobody could read is not made", async () => {
  const registry = newRegistry();
  const variables = Array.from(
    { length: 50_000 },
    (_, at) => ({ name: `${at}`.padEnd(250, "\\"), shape: [1] }),
  );
  const { code, message, issues } = await refusalAsync(() =>
    registry.create({ optimizer: "Adam", variables })
  );
  assert.equal(code, "run_too_large");
  assert.match(message, /Cannot create the run: variables have names and shapes that take up to \d+ bytes/);
  assert.equal(issues[0]?.path, "variables");
  assert.equal(registry.figures().runBytes, 0);
});

Deno.test("a run with more dimensions and slots than a checkpoint may have is not made", async () => {
  const shape = Array(32).fill(1);
  const variables = Array.from({ length: 60_000 }, (_, at) => ({ name: `${at}`, shape }));
  const { code, message } = await refusalAsync(() => newRegistry().create({ optimizer: "SGD", variables }));
  assert.equal(code, "run_too_large");
  assert.match(message, /variables have \d+ names, dimensions and slots, must have at most 2000000/);
});

Deno.test("a checkpoint of a run with many long names is put back", async () => {
  const registry = newRegistry();
  const variables = Array.from({ length: 2000 }, (_, at) => ({ name: `${at}`.padEnd(250, "x"), shape: [1] }));
  const session = await registry.create({ optimizer: "SGD", variables });
  const copy = await restore(registry, "copy", checkpointOf(session));
  assert.equal(copy.describe().parameters, 2000);
});
