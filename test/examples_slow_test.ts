/**
 * Runs a short version of each example against a real service process on a free loopback port, as a user would.
 */
import assert from "node:assert/strict";
import { startService } from "../examples/service_process.ts";

interface Outcome {
  readonly printed: string;
  /** The iterations of the example's run, according to the service. */
  readonly steps: number;
}

/** Runs an example against its own service. Fails if it ends with a code other than `expected`. */
async function runExample(script: string, args: readonly string[], expected = 0): Promise<Outcome> {
  const service = await startService();
  try {
    const program = new URL(`../examples/${script}`, import.meta.url).href;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", program, "--url", service.url, ...args],
    }).output();
    const printed = new TextDecoder().decode(stdout);
    assert.equal(
      code,
      expected,
      `${script} ended with ${code}:\n${printed}\n${new TextDecoder().decode(stderr)}`,
    );
    const { runs } = await (await fetch(`${service.url}/v1/runs`)).json();
    return { printed, steps: runs[0].iterations };
  } finally {
    await service.stop();
  }
}

Deno.test("federated_digits learns to read most digits when its eight clients take 40 steps each", async () => {
  const args = ["--steps", "40", "--accuracy", "80"];
  const { printed, steps } = await runExample("federated_digits/main.ts", args);
  // The progress bar may have been drawn for the last time before the last step.
  assert.equal(steps, 320);
  assert.match(printed, /\/320 steps/);
  assert.match(printed, /359 test images, \d+\.\d % read right/);
});

Deno.test("federated_digits learns in rounds when clients straggle and others attack", async () => {
  // 7 of 10 contribute and 7 are the minimum. On a slow machine a round may be dropped, and they send again.
  const args = [
    "--rounds",
    "3",
    "--deadline",
    "1",
    "--stragglers",
    "0.3",
    "--hostile",
    "0.2",
    "--accuracy",
    "60",
  ];
  const { printed, steps } = await runExample("federated_digits/rounds.ts", args);
  assert.equal(steps, 3);
  assert.match(printed, /^.* seed 1 /);
  assert.match(printed, /round +3\/3 .* test accuracy \d+\.\d %/);
  const counts = Object.fromEntries(
    [...printed.matchAll(/^ *(\d+) (\w+, \w+)$/gm)].map(([, count, what]) => [what, Number(count)]),
  );
  // A straggler may miss a round that ends fast. A client that has sent nothing has nothing stale to send.
  const { "late, too_stale": late = 0, "stale, too_stale": stale = 0, ...others } = counts;
  assert.deepEqual(others, { "prompt, applied": 15, "hostile, applied": 6 });
  assert.ok(late >= 1 && late <= 3 && stale <= 3, printed);
  assert.match(printed, /359 test images, \d+\.\d % read right/);
});

Deno.test("federated_digits ends with 1 when the plain mean meets hostile clients", async () => {
  const args = ["--rounds", "3", "--deadline", "600", "--stragglers", "0", "--payload", "delta"];
  const attack = ["--aggregator", "Mean", "--hostile", "0.2", "--attack", "sign_flip", "--accuracy", "60"];
  const { printed, steps } = await runExample("federated_digits/rounds.ts", [...args, ...attack], 1);
  assert.equal(steps, 3);
  assert.match(printed, /359 test images, [1-5]?\d\.\d % read right/);
});

Deno.test("text_embeddings lowers its loss when its four clients send 100 sparse gradients each", async () => {
  const { printed, steps } = await runExample("text_embeddings/main.ts", ["--steps", "100"]);
  assert.equal(steps, 400);
  const [, first, last] = /loss (\d\.\d+) -> (\d\.\d+)/.exec(printed) ?? [];
  assert.ok(Number(first) > 2.5 && Number(last) < 0.9 * Number(first), printed);
});

Deno.test("digits_minimize learns the same with losses for the service as with its own gradients", async () => {
  const args = ["--steps", "120", "--accuracy", "85"];
  const { printed, steps } = await runExample("digits_minimize/main.ts", args);
  assert.equal(steps, 120);
  const found = [...printed.matchAll(/^(\w+) +120 steps +loss (\d\.\d{4}) +(\d+\.\d) % read right/gm)];
  assert.deepEqual(found.map(([, way]) => way), ["gradients", "expression", "model"], printed);
  const [own = NaN, ...others] = found.map(([, , loss]) => Number(loss));
  assert.ok(others.every((loss) => Math.abs(loss - own) < 0.001), printed);
});

Deno.test("digits_minimize ends with 1 when it has hardly learned", async () => {
  const args = ["--steps", "2", "--accuracy", "85"];
  const { printed, steps } = await runExample("digits_minimize/main.ts", args, 1);
  assert.equal(steps, 2);
  assert.match(printed, /359 test images, at most \d+\.\d % apart/);
});
