/**
 * Runs a short version of each example against a real service process on a free loopback port, as a user would.
 */
import assert from "node:assert/strict";
import { startService } from "../examples/service_process.ts";

/** Runs an example against a service of its own and returns what it printed; fails when it ends with another code. */
async function runExample(script: string, args: readonly string[]): Promise<string> {
  const service = await startService();
  try {
    const path = new URL(`../examples/${script}`, import.meta.url).pathname;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", path, "--url", service.url, ...args],
    }).output();
    const printed = new TextDecoder().decode(stdout);
    assert.equal(code, 0, `${script} ended with ${code}:\n${printed}\n${new TextDecoder().decode(stderr)}`);
    return printed;
  } finally {
    await service.stop();
  }
}

Deno.test("federated_digits does learn to read most digits when its eight clients take 40 steps each", async () => {
  const printed = await runExample("federated_digits/main.ts", ["--steps", "40", "--accuracy", "80"]);
  assert.match(printed, /320\/320 steps/);
  assert.match(printed, /359 test images, \d+\.\d % read right/);
});

Deno.test("text_embeddings does lower its loss when its four clients send 100 sparse gradients each", async () => {
  const printed = await runExample("text_embeddings/main.ts", ["--steps", "100"]);
  const [, first, last] = /loss (\d\.\d+) -> (\d\.\d+)/.exec(printed) ?? [];
  assert.ok(Number(first) > 2.5 && Number(last) < 0.9 * Number(first), printed);
});
