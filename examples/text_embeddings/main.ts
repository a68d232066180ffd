/**
 * `deno run -A examples/text_embeddings/main.ts`: learns which words of Newton's Opticks are used alike. The two
 * embedding tables are variables of a Stepwell run. Each of four clients has a quarter of the text, fetches only
 * the rows that a batch needs and sends sparse gradients for these rows. Starts the service too, unless `--url`
 * names a running one.
 *
 * Prints the loss and, at the end, each colour's nearest words. Exits with 1 when the loss has not fallen by a
 * tenth.
 */
import { parseArgs } from "node:util";
import { RunClient } from "../run_client.ts";
import { startService } from "../service_process.ts";
import { nearest, skipGramStep } from "./skip_gram.ts";
import { pairSampler, readText, type Text, wordSampler } from "./words.ts";

const CLIENTS = 4;
const WIDTH = 32;
const PAIRS = 256;
const NEGATIVES = 5;
const REACH = 4;
const SHOWN_WORDS = ["red", "violet", "glass", "water", "sun", "prism", "refraction"];

const { values } = parseArgs({
  options: { url: { type: "string" }, steps: { type: "string", default: "750" } },
});
const stepsPerClient = Number(values.steps);
if (!Number.isInteger(stepsPerClient) || stepsPerClient < 1) {
  throw new RangeError(`Cannot take ${values.steps} steps: must be a whole number from 1`);
}
const service = values.url === undefined ? await startService() : null;
try {
  const { first, last } = await learn(values.url ?? service?.url ?? "");
  console.log(`loss ${first.toFixed(3)} -> ${last.toFixed(3)}`);
  Deno.exitCode = last < 0.9 * first ? 0 : 1;
} finally {
  await service?.stop();
}

/** Trains, prints nearest words, and returns the mean loss of the first and of the last tenth of the steps. */
async function learn(url: string): Promise<{ first: number; last: number }> {
  const text = await readText();
  const rows = text.vocabulary.length;
  const run = new RunClient(url, `opticks-${crypto.randomUUID().slice(0, 8)}`);
  const spread = { class_name: "RandomUniform", config: { minval: -0.1, maxval: 0.1, seed: 1 } };
  await run.create({
    optimizer: { class_name: "Adagrad", config: { learning_rate: 0.2 } },
    variables: [
      { name: "words", shape: [rows, WIDTH], initial: spread },
      { name: "contexts", shape: [rows, WIDTH] },
    ],
  });
  console.log(
    `${text.tokens.length} words of text, ${rows} different ones; two tables of ${rows} x ${WIDTH}`,
  );
  const losses: number[] = [];
  await Promise.all(Array.from({ length: CLIENTS }, (_, number) => runClient(run, { number, text, losses })));
  const table = (await run.variables("words")).tensors.get("words")?.values as Float32Array;
  for (const word of SHOWN_WORDS) {
    const alike = nearest(table, WIDTH, text.vocabulary.indexOf(word), 6);
    console.log(`${word}: ${alike.map((row) => text.vocabulary[row]).join(", ")}`);
  }
  const tenth = Math.max(1, Math.floor(losses.length / 10));
  return { first: mean(losses.slice(0, tenth)), last: mean(losses.slice(-tenth)) };
}

/** One client: gathers rows, computes their gradients, sends them. */
async function runClient(
  run: RunClient,
  { number, text, losses }: { number: number; text: Text; losses: number[] },
): Promise<void> {
  const part = text.tokens.length / CLIENTS;
  const range = { from: Math.floor(number * part), to: Math.floor((number + 1) * part), reach: REACH };
  const drawPair = pairSampler(text, range), drawWord = wordSampler(text.frequencies, 0.75);
  for (let step = 0; step < stepsPerClient; step += 1) {
    const pairs = Array.from({ length: PAIRS }, drawPair);
    const batch = {
      words: pairs.map(([word]) => word),
      contexts: pairs.flatMap(([, neighbour]) => [neighbour, ...Array.from({ length: NEGATIVES }, drawWord)]),
    };
    const [words, contexts] = await Promise.all([
      run.gather("words", batch.words),
      run.gather("contexts", batch.contexts),
    ]);
    const found = skipGramStep(batch, { words, contexts }, WIDTH);
    await run.sendGradients({
      "words#indices": { shape: [batch.words.length], values: Int32Array.from(batch.words) },
      "words#values": { shape: [batch.words.length, WIDTH], values: found.words },
      "contexts#indices": { shape: [batch.contexts.length], values: Int32Array.from(batch.contexts) },
      "contexts#values": { shape: [batch.contexts.length, WIDTH], values: found.contexts },
    }, { client_id: `client-${number}` });
    losses.push(found.loss);
    if (losses.length % Math.ceil((CLIENTS * stepsPerClient) / 20) === 0) showLoss(losses);
  }
}

function showLoss(losses: readonly number[]): void {
  const loss = mean(losses.slice(-50));
  const bar = "#".repeat(Math.round(loss * 12));
  console.log(`step ${String(losses.length).padStart(5)}  loss ${loss.toFixed(3)} ${bar}`);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
