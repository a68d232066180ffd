/**
 * The README's bounds are those of the goldens. Its tables are generated (generated_test.ts), its links lead somewhere
 * (documents_test.ts), and readme_tour_test.ts runs the commands of its tour.
 */
import assert from "node:assert/strict";

const ROOT = new URL("../", import.meta.url);
const text = Deno.readTextFileSync(new URL("README.md", ROOT));

Deno.test("README's bounds do equal those of the goldens when both are listed", () => {
  const folder = new URL("test/golden/", ROOT);
  const bounds = new Set<number>();
  let absolute = 0;
  for (const { name } of Deno.readDirSync(folder)) {
    // beyond.json has other references than TensorFlow's legacy optimizers.
    if (!name.endsWith(".json") || name === "beyond.json") continue;
    const file = JSON.parse(Deno.readTextFileSync(new URL(name, folder))) as {
      cases?: { bound: { relative?: number; absolute?: number } }[];
    };
    for (const { bound } of file.cases ?? []) {
      if (bound.relative !== undefined) bounds.add(bound.relative);
      absolute = Math.max(absolute, bound.absolute ?? 0);
    }
  }
  const section = /^## Numbers\n([^]*?)^## /m.exec(text)?.[1] ?? "";
  const shown = [...section.matchAll(/\| (\d+e-\d+)( absolute)? +\|\n/g)].map(([, value, kind]) => ({
    value: Number(value),
    kind: kind === undefined ? "relative" : "absolute",
  }));
  const valuesOf = (kind: string) =>
    shown.filter((bound) => bound.kind === kind).map(({ value }) => value).sort();
  assert.deepEqual(valuesOf("relative"), [...bounds].sort());
  assert.deepEqual(valuesOf("absolute"), [absolute]);
});
