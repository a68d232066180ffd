/** Test that kernels give the same bits under V8's baseline compiler and its optimizing compiler. */
import assert from "node:assert/strict";

async function bitsUnder(...flags: string[]): Promise<string> {
  const script = new URL("./support/kernel_bits.ts", import.meta.url).href;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", `--v8-flags=${flags.join()}`, script],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

Deno.test("kernels give the same bits under V8's baseline and optimizing compilers", async () => {
  const [baseline, optimizing] = await Promise.all([bitsUnder("--liftoff-only"), bitsUnder("--no-liftoff")]);
  assert.match(baseline, /^[0-9a-f]{1,8}$/);
  assert.equal(optimizing, baseline);
});
