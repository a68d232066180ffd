/**
 * A file of compact forms packed by numpy (test/wire/golden/make_packed.py), compared with numpy's float32 values.
 */
import assert from "node:assert/strict";
import { sumSquares } from "../../../kernels/routines/ingest.ts";
import { optimizers } from "../../../src/families/optimizers/mod.ts";
import { ruleOf } from "../../../src/families/optimizers/optimizer.ts";
import { Memory } from "../../../src/run/tensors/memory.ts";
import { resolveSpec } from "../../../src/run/spec/spec.ts";
import { ArenaStaging } from "../../../src/run/staging/staging.ts";
import { RunState } from "../../../src/run/tensors/state.ts";
import { elementCount, type Shape } from "../../../src/tensor.ts";
import { gradientFields } from "../../../src/wire/metadata_fields.ts";
import { tensorFileReader } from "../../../src/wire/tensor_file.ts";
import { sameBits } from "../../kernels/support/special.ts";
import { RecordingTarget } from "../../wire/support/recording_target.ts";
import { open, stateOf } from "../support/harness.ts";

const golden = (name: string) =>
  Deno.readFileSync(new URL(`../../wire/golden/${name}.safetensors`, import.meta.url));

/** Shape and float32 values by name. */
function meanings(): ReadonlyMap<string, { shape: Shape; values: Float32Array }> {
  const target = new RecordingTarget();
  const reader = tensorFileReader(target);
  reader.write(golden("packed_means"));
  reader.close();
  return new Map(
    [...target.denses].map((
      [name, { shape, sink }],
    ) => [name, { shape, values: Float32Array.from(sink.floats) }]),
  );
}

Deno.test("a file packed by numpy is decoded to numpy's float32 values, bit for bit", () => {
  const means = meanings();
  const variables = [...means].map(([name, { shape }]) => ({ name, shape }));
  const spec = resolveSpec({ optimizer: "SGD", variables }, optimizers);
  const memory = new Memory({ bytesMax: 2 ** 28 });
  const state = new RunState(memory, spec, ruleOf(spec.optimizer));
  for (const size of [1, 1000, 1 << 20]) {
    const staging = new ArenaStaging({
      kind: "gradients",
      memory,
      state,
      keepsBytes: false,
      released: () => {},
    });
    const file = golden("packed");
    const reader = tensorFileReader(staging, { fileBytes: file.length, onMetadata: gradientFields });
    for (let at = 0; at < file.length; at += size) reader.write(file.subarray(at, at + size));
    reader.close();
    assert.ok(staging.complete);
    assert.deepEqual([...staging.tensors.keys()].toSorted(), [...means.keys()].toSorted());
    for (const [name, staged] of staging.tensors) {
      const { shape, values: wanted } = means.get(name)!;
      let values = state.arena.f32(staged.values, staged.count);
      assert.equal(staged.squares, sumSquares(state.arena, staged.values, staged.count), name);
      if (staged.kind === "sparse") {
        const { rowLength } = staged.variable, rows = values;
        const sum = new Float32Array(elementCount(shape));
        state.arena.i32(staged.indices, staged.rows).forEach((row, n) => {
          for (let i = 0; i < rowLength; i++) {
            sum[row * rowLength + i] = (sum[row * rowLength + i] as number) +
              (rows[n * rowLength + i] as number);
          }
        });
        values = sum;
      }
      assert.equal(sameBits(values, wanted), undefined, `${name} in pieces of ${size}`);
    }
    staging.release();
  }
});

Deno.test("a step with that file equals the step with the full float32 values", async () => {
  const means = meanings();
  // For Adam, sparse rows and the dense tensor of the same values are different gradients.
  const dense = [...means].filter(([name]) => name !== "rows");
  const make = () =>
    open({
      optimizer: { class_name: "Adam", config: { learning_rate: 0.1 } },
      variables: [...means].map(([name, { shape }]) => ({ name, shape, initial: 1 })),
      non_finite: "propagate",
    });
  const packed = await make(), full = await make();
  const one = packed.stage("gradients"), other = full.stage("gradients");
  const target = {
    dense: (...[name, wire]: Parameters<typeof one.dense>) => one.dense(name, wire),
    sparse: (...parts: Parameters<typeof one.sparse>) => one.sparse(...parts),
    none: (name: string) => one.none(name),
    packed: (...[name, tensor]: Parameters<typeof one.packed>) => {
      const ignored = { write: () => {}, close: () => {} };
      if (name === "rows") return { values: ignored, scale: ignored, indices: ignored };
      return one.packed(name, tensor);
    },
  };
  const reader = tensorFileReader(target);
  reader.write(golden("packed"));
  reader.close();
  for (const [name, { shape, values }] of dense) {
    const sink = other.dense(name, { dtype: "F32", shape });
    sink.write(new Uint8Array(values.buffer));
    sink.close();
  }
  const apply = { aggregate: true, dryRun: false };
  const answers = [packed.applyGradients(one, apply), full.applyGradients(other, apply)];
  one.release();
  other.release();
  const sorted = (
    { variables, ...rest }: typeof answers[number],
  ) => [rest, Object.entries(variables).toSorted()];
  assert.deepEqual(sorted(answers[0]!), sorted(answers[1]!));
  const [a, b] = [stateOf(packed), stateOf(full)];
  assert.deepEqual([a.variables, a.slots], [b.variables, b.slots]);
});
