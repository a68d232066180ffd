/**
 * `deno run -A examples/digits_minimize/main.ts`: trains the network of ../federated_digits in three ways, from the
 * same start and with the same batches: with gradients that this program computes, and with two losses that the
 * service minimizes. Exits with 1 when a test accuracy is below 95 % (`--accuracy`), or differs too much from the
 * others (`--apart`).
 */
import { parseArgs } from "node:util";
import { drawBatch, readDigits } from "../federated_digits/digits.ts";
import { accuracy, startTensorFlow, VARIABLES } from "../federated_digits/network.ts";
import { randomStream } from "../federated_digits/random.ts";
import { RunClient } from "../run_client.ts";
import { startService } from "../service_process.ts";
import { type Way, WAYS } from "./ways.ts";

const BATCH = 32;
/** The loss that is shown is the mean of this many batches. */
const LATEST = 20;

const { values } = parseArgs({
  options: {
    url: { type: "string" },
    steps: { type: "string", default: "1600" },
    seed: { type: "string", default: "1" },
    accuracy: { type: "string", default: "95" },
    apart: { type: "string", default: "0.5" },
  },
});
const steps = Number(values.steps);
if (!Number.isInteger(steps) || steps < 1) {
  throw new RangeError(`Cannot take ${values.steps} steps: must be a whole number from 1`);
}
const [{ train: images, test }] = await Promise.all([readDigits(), startTensorFlow()]);
const service = values.url === undefined ? await startService() : null;
try {
  const reached: number[] = [];
  for (const [name, way] of Object.entries(WAYS)) {
    reached.push(await train(name, { way, url: values.url ?? service?.url ?? "" }));
  }
  const apart = Math.max(...reached) - Math.min(...reached);
  console.log(`${test.count} test images, at most ${percent(apart)} apart`);
  const isGood = Math.min(...reached) * 100 >= Number(values.accuracy);
  Deno.exitCode = isGood && apart * 100 <= Number(values.apart) ? 0 : 1;
} finally {
  await service?.stop();
}

/** Creates a run, trains it in one way, and returns the test accuracy. */
async function train(name: string, { way, url }: { way: Way; url: string }): Promise<number> {
  const run = new RunClient(url, `${name}-${crypto.randomUUID().slice(0, 8)}`);
  const optimizer = { class_name: "Adam", config: { learning_rate: 0.003 } };
  await run.create({ optimizer, variables: VARIABLES });
  const random = randomStream(Number(values.seed)), losses: number[] = [];
  const started = performance.now();
  for (let step = 0; step < steps; step += 1) losses.push(await way(run, drawBatch(images, BATCH, random)));
  const seconds = (performance.now() - started) / 1000;
  const reached = accuracy((await run.variables()).tensors, test);
  const latest = losses.slice(-LATEST);
  const loss = latest.reduce((sum, each) => sum + each, 0) / latest.length;
  console.log(
    `${name.padEnd(10)}  ${await run.iterations()} steps  loss ${loss.toFixed(4)}  ` +
      `${percent(reached)} read right  ${seconds.toFixed(1)} s`,
  );
  return reached;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
