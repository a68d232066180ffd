/** What derives from the code is as the code has it: openapi.yaml, openapi-3.0.yaml, the tables of README and docs/. */
import assert from "node:assert/strict";
import { staleFiles } from "../tools/generate.ts";

Deno.test("generated files are what `deno task generate` would write", () => {
  assert.deepEqual([...staleFiles().keys()], [], "stale: run `deno task generate`");
});
