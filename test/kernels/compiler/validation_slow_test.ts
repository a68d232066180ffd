/** The emitter's modules against another validator than V8's. */
import assert from "node:assert/strict";
import { Program } from "../../../kernels/compiler/compile.ts";
import { emitPass } from "../../../kernels/compiler/emit.ts";

/** Three lines of one pass, several passes, calls of the host, a pass without stores. */
const RULES = [
  ["m = m + (g - m) * (1 - a)", "v = v + (g * g - v) * (1 - a)", "w = w - (m * c) / (sqrt(v) + a)"],
  ["u = m * a + g", "r = norm(w) / norm(u)", "w = w - where(r > 0, r, 1) * u", "m = u"],
  ["w = exp(g) ^ log(m)", "v = cos(g)"],
  ["n = norm(g)"],
];

Deno.test("binaryen validates the modules of all ops, layouts and multi-pass rules", async () => {
  const { default: binaryen } = await import("binaryen");
  for (const rule of RULES) {
    for (const type of ["f32", "f16", "bf16", "f64"] as const) {
      for (const access of ["sequential", "indexed", "repeat", "splat"] as const) {
        const program = new Program(rule, {
          tensors: ["w", "g", "m", "v"],
          stored: ["w", "m", "v"],
          uniforms: ["a", "b", "c"],
        });
        const kernel = program.kernel({
          g: { type, access: type === "f32" ? access : "sequential" },
          w: { access: "indexed" },
        });
        for (const pass of kernel.passes) {
          const module = binaryen.readBinary(emitPass(program.graph.nodes, pass));
          module.setFeatures(binaryen.Features.SIMD128 | binaryen.Features.Multivalue);
          assert.equal(module.validate(), 1);
          module.dispose();
        }
      }
    }
  }
});
