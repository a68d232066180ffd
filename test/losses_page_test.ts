/** docs/losses.md: its losses are taken. Its tables are generated: generated_test.ts. */
import assert from "node:assert/strict";
import { compileLoss } from "../src/autodiff/graph/compile_loss.ts";

const page = Deno.readTextFileSync(new URL("../docs/losses.md", import.meta.url));

Deno.test("docs/losses.md shows losses that are taken, over what it says that there is", () => {
  const shapesOf = (kind: string) => {
    const [, list = ""] = new RegExp(`^${kind}: (.*)$`, "m").exec(page) ?? [];
    return new Map(
      [...list.matchAll(/`([\w/]+)` (\[[\d, ]*\])/g)].map(([, name = "", shape = ""]) =>
        [name, JSON.parse(shape) as number[]] as const
      ),
    );
  };
  const scope = { variables: shapesOf("Variables"), inputs: shapesOf("Inputs"), elementsMax: 1e6 };
  const texts = [...page.matchAll(/^```text\n([^]*?)^```$/gm)].map(([, text = ""]) => text);
  assert.ok(texts.length >= 5 && scope.variables.size > 3 && scope.inputs.size > 3);
  for (const text of texts) {
    const { nodes, loss } = compileLoss(text, scope);
    assert.deepEqual(nodes[loss]?.shape, [], text);
    assert.ok(nodes.some(({ kind }) => kind === "variable" || kind === "rows"), text);
  }
});
