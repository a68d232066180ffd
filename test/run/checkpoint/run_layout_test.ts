/** The files that the service writes of a run for itself have the bytes that any writer of safetensors would give them. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { OWNER } from "../../../src/run/checkpoint/checkpoint_format.ts";
import { areEntries, readingMetadata } from "../../../src/run/checkpoint/own_header.ts";
import { layingOutRun } from "../../../src/run/checkpoint/run_layout.ts";
import { atOnce } from "../../../src/slices.ts";
import { prepareSnapshot } from "../../../src/run/checkpoint/prepared_snapshot.ts";
import { takeSnapshot } from "../../../src/run/checkpoint/snapshot_source.ts";
import type { Session } from "../../../src/run/session/session.ts";
import type { VariableSpec } from "../../../src/run/api/run_spec.ts";
import { encodeSafetensors } from "../../../src/wire/safetensors_writer.ts";
import { elementCount } from "../../../src/tensor.ts";
import { newRegistry, step } from "../support/harness.ts";
import { specOf, VARIANTS } from "../support/variants.ts";

const OWNED = { run: "r", incarnation: "i", generation: 3 };

async function plainFile(session: Session): Promise<Uint8Array> {
  const { tensors, release } = session.checkpoint(), { metadata } = session.liveCheckpoint();
  const { body } = encodeSafetensors(tensors, { metadata: { ...metadata, [OWNER]: JSON.stringify(OWNED) } });
  release();
  return new Uint8Array(await new Response(body as BodyInit).arrayBuffer());
}

function snapshotFile(session: Session, prepared?: Awaited<ReturnType<typeof prepareSnapshot>>): Uint8Array {
  const { pieces } = takeSnapshot(session, { owner: OWNED, prepared });
  // The memory of a piece is used again for the next one.
  return Buffer.concat(Array.from(pieces, (piece) => piece.slice()));
}

const name = fc.oneof(
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }).filter((text) =>
    // deno-lint-ignore no-control-regex -- as the schema of names
    /^[^#\u0000-\u001f\u007f]*$/.test(text)
  ),
  fc.string({ unit: fc.constantFrom('"', "\\", "\ud800", "ü", "/", "}", ",", "m"), minLength: 1 }),
);
const variable = fc.record({
  name,
  shape: fc.oneof(fc.array(fc.constantFrom(0, 1, 2, 70), { maxLength: 3 }), fc.constant([20_000])),
  role: fc.constantFrom("optimize" as const, "average" as const),
});
const variables = fc.uniqueArray(variable, { minLength: 1, maxLength: 8, selector: ({ name }) => name })
  .filter((all) => all.some(({ role }) => role === "optimize"));

Deno.test("a snapshot of any run has the bytes of a plain safetensors file", async () => {
  const registry = newRegistry();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...VARIANTS), variables, async (variant, variables) => {
      const session = await registry.create({ ...specOf(variant), variables: variables as VariableSpec[] });
      const first = variables.find(({ role }) => role === "optimize") as typeof variables[number];
      for (const isChanged of [false, true]) {
        if (isChanged) {
          const count = elementCount(first.shape);
          const base64 = new Uint8Array(new Float32Array(count).fill(0.5).buffer).toBase64();
          step(session, { [first.name]: { dtype: "float32", shape: first.shape, base64 } });
        }
        const file = snapshotFile(session);
        assert.deepEqual(file, Buffer.from(await plainFile(session)));
        // It is recognized when it is read back, unless a byte differs.
        const { metadata, state } = session.liveCheckpoint(), layout = atOnce(layingOutRun(state));
        const header = file.subarray(
          8,
          8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true)),
        );
        const own = atOnce(readingMetadata(header));
        assert.ok(own);
        assert.deepEqual(Object.fromEntries(own.metadata), { ...metadata, [OWNER]: JSON.stringify(OWNED) });
        assert.ok(areEntries(own.rest, layout));
        own.rest[own.rest.length >> 1]! ^= 1;
        assert.ok(!areEntries(own.rest, layout));
      }
      await registry.delete(session.id);
    }),
    { numRuns: 100 },
  );
});

Deno.test("a snapshot that was prepared has the same bytes, whatever changed since", async () => {
  const registry = newRegistry();
  const names = Array.from({ length: 2500 }, (_, n) => `${n % 7}/v${n}`);
  const session = await registry.create({
    optimizer: { class_name: "Adam", config: { learning_rate: 0.1 } },
    variables: names.map((name) => ({ name, shape: [2] })),
  });
  const check = async (prepared: Awaited<ReturnType<typeof prepareSnapshot>>) =>
    assert.deepEqual(snapshotFile(session, prepared), Buffer.from(await plainFile(session)));
  const prepared = await prepareSnapshot(session);
  assert.ok(prepared);
  await check(prepared);
  // Some slots are created, then all, then there are more of them.
  step(session, { [names[1999] as string]: [1, 2] });
  await check(prepared);
  step(session, Object.fromEntries(names.map((name) => [name, [1, 2]])));
  await check(prepared);
  const again = await prepareSnapshot(session);
  step(session, { [names[3] as string]: [1, 2] });
  await check(again);
  session.patchOptimizer({ amsgrad: true });
  await check(again);
});
