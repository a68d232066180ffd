import assert from "node:assert/strict";
import { transformers } from "../../src/families/transformers/mod.ts";
import { runLines } from "./support/apply_rule.ts";

function transformed(class_name: string, config: Record<string, unknown>, g: number[]): number[] {
  const { member, config: checked } = transformers.resolve({ class_name, config });
  assert(member.rule.kind === "lines");
  const tensors = { g: Float32Array.from(g), w: Float32Array.of(1, -2, 4) };
  runLines(member.rule.lines, { tensors, scalars: { ...member.uniforms(checked) }, places: [0, 1, 2] });
  return [...tensors.g];
}

Deno.test("every transformer's lines compute the formula in its description", () => {
  assert.deepEqual(transformed("Scale", { scale: -0.5 }, [1, 2, -4]), [-0.5, -1, 2]);
  assert.deepEqual(transformed("AddDecayedWeights", { weight_decay: 0.5 }, [1, 2, -4]), [1.5, 1, -2]);
  assert.deepEqual(transformed("ClipByValue", { clip_value: 1.5 }, [1, 2, -4]), [1, 1.5, -1.5]);
  assert.deepEqual(transformed("ClipByValue", { clip_value: 1.5 }, [NaN, Infinity, -Infinity]), [
    NaN,
    1.5,
    -1.5,
  ]);
  assert.deepEqual(transformed("ClipByNorm", { clip_norm: 2.5 }, [0, 3, -4]), [0, 1.5, -2]);
  assert.deepEqual(transformed("ClipByNorm", { clip_norm: 10 }, [0, 3, -4]), [0, 3, -4]);
});

Deno.test("transformers refuse a negative or missing number", () => {
  for (
    const [class_name, config] of [
      ["ClipByValue", {}],
      ["ClipByValue", { clip_value: -1 }],
      ["ClipByNorm", { clip_norm: -1 }],
      ["AddDecayedWeights", { weight_decay: -1 }],
    ] as const
  ) {
    assert.throws(() => transformers.resolve({ class_name, config }), { code: "invalid_config" });
  }
});
