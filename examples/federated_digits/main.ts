/**
 * `deno run -A examples/federated_digits/main.ts`: eight client processes train one network on handwritten digits
 * through a Stepwell service. Starts the service too, unless `--url` names a running one. Shows a progress bar and
 * the test accuracy, and exits with 1 when the accuracy is below 95 % (`--accuracy`) after 200 steps of each client
 * (`--steps`).
 *
 * This process takes no part in the training: gradients go from the clients over HTTP to the service.
 */
import { parseArgs } from "node:util";
import { RunClient } from "../run_client.ts";
import { type ServiceProcess, startService } from "../service_process.ts";
import { runProcess } from "./client_process.ts";
import { type Digits, readDigits } from "./digits.ts";
import { accuracy, startTensorFlow, VARIABLES } from "./network.ts";

const CLIENTS = 8;
const LOOK_MS = 500;

const { values } = parseArgs({
  options: {
    url: { type: "string" },
    steps: { type: "string", default: "200" },
    accuracy: { type: "string", default: "95" },
  },
});
const stepsPerClient = Number(values.steps);
if (!Number.isInteger(stepsPerClient) || stepsPerClient < 1) {
  throw new RangeError(`Cannot take ${values.steps} steps: must be a whole number from 1`);
}
const service: ServiceProcess | null = values.url === undefined ? await startService() : null;
try {
  const reached = await train(values.url ?? service?.url ?? "");
  Deno.exitCode = reached * 100 >= Number(values.accuracy) ? 0 : 1;
} finally {
  await service?.stop();
}

/** Creates the run, lets the clients train it and returns the test accuracy. */
async function train(url: string): Promise<number> {
  const started = performance.now();
  const runId = `digits-${crypto.randomUUID().slice(0, 8)}`;
  const run = new RunClient(url, runId);
  await run.create({
    optimizer: { class_name: "Adam", config: { learning_rate: 0.003 } },
    variables: VARIABLES,
  });
  const [{ test }] = await Promise.all([readDigits(), startTensorFlow()]);
  const losses: number[] = [];
  const clients = Array.from({ length: CLIENTS }, (_, number) =>
    runProcess<{ loss: number }>({
      script: "client.ts",
      args: [url, runId, String(number), String(CLIENTS), String(stepsPerClient)],
      onLine: ({ loss }) => losses.push(loss),
    }));
  const total = CLIENTS * stepsPerClient;

  let training = true;
  const finished = Promise.all(clients).finally(() => training = false);
  while (training) {
    await Promise.race([finished, new Promise((resolve) => setTimeout(resolve, LOOK_MS))]);
    await showProgress(run, { test, losses, total });
  }
  await finished;
  const reached = accuracy((await run.variables()).tensors, test);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`\n${test.count} test images, ${(reached * 100).toFixed(1)} % read right, after ${seconds} s`);
  return reached;
}

/**
 * `[#####.....]  400/800 steps  loss 0.213  test accuracy 94.2 %`: one line that is redrawn on a terminal, many
 * lines in a log file.
 */
async function showProgress(
  run: RunClient,
  { test, losses, total }: { test: Digits; losses: readonly number[]; total: number },
): Promise<void> {
  const iterations = await run.iterations();
  const filled = Math.round((40 * iterations) / total);
  const latest = losses.slice(-40);
  const loss = latest.reduce((sum, each) => sum + each, 0) / latest.length;
  const now = accuracy((await run.variables()).tensors, test);
  const line =
    `[${"#".repeat(filled)}${".".repeat(40 - filled)}] ${String(iterations).padStart(4)}/${total} steps` +
    `  loss ${latest.length > 0 ? loss.toFixed(3) : "-    "}  test accuracy ${(now * 100).toFixed(1)} %`;
  await Deno.stdout.write(new TextEncoder().encode(Deno.stdout.isTerminal() ? `\r${line}` : `${line}\n`));
}
