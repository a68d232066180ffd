/**
 * Some clients of a federation in one process, started by train_in_rounds.ts. They share only the process and its
 * TensorFlow.js: each has its own images and talks to the service on its own.
 *
 * Arguments: the service, the run, the settings as JSON, the numbers of the clients as JSON.
 * Standard output: a line of JSON for each contribution (`Sent`).
 */
import { RunClient } from "../run_client.ts";
import { attacked, type Behaviour, behaviours, changeOf } from "./behaviour.ts";
import { readDigits, shard } from "./digits.ts";
import type { Settings } from "./federation.ts";
import { trainLocally, type Weights } from "./local_training.ts";
import { startTensorFlow } from "./network.ts";
import { randomStream } from "./random.ts";

export interface Sent {
  readonly client: number;
  readonly behaviour: Behaviour;
  readonly outcome: string;
}

interface Contribution {
  readonly tensors: Weights;
  /** The run's iterations when its variables were fetched. */
  readonly base: number;
}

const [service = "", runId = "", settingsText = "", clientsText = "[]"] = Deno.args;
const settings = JSON.parse(settingsText) as Settings;
const run = new RunClient(service, runId);
const { train } = await readDigits();
await startTensorFlow();
await Promise.all((JSON.parse(clientsText) as number[]).map(takePart));

/** One client: behaves in each round as `behaviours` decides, until the run has made all its steps. */
async function takePart(client: number): Promise<void> {
  const own = shard(train, client, settings.clients);
  let { tensors, metadata } = await run.variables();
  let previous: Contribution | undefined;
  for (;;) {
    const base = Number(metadata["iterations"]);
    if (base >= settings.rounds) return;
    const behaviour = behaviours(settings, base)[client] as Behaviour;
    const send = async ({ tensors, base }: Contribution) => {
      const outcome = await contribute({ tensors, base }, client, own.count);
      console.log(JSON.stringify({ client, behaviour, outcome } satisfies Sent));
    };
    if (behaviour === "stale" && previous) await send(previous);
    if (behaviour === "prompt" || behaviour === "hostile" || behaviour === "late") {
      const random = randomStream(settings.seed, client, base);
      const honest = await trainLocally(tensors, own, { epochs: settings.epochs, random });
      const weights = behaviour === "hostile" ? attacked(tensors, honest, settings.attack, random) : honest;
      previous = { tensors: settings.payload === "delta" ? changeOf(tensors, weights) : weights, base };
      if (behaviour === "late") await run.variablesAfter(base);
      await send(previous);
    }
    ({ tensors, metadata } = await run.variablesAfter(base));
  }
}

/** Sends a contribution until it becomes part of a step or is refused. Returns the outcome. */
async function contribute(
  { tensors, base }: Contribution,
  client: number,
  examples: number,
): Promise<string> {
  const metadata = { client_id: `client-${client}`, base_iteration: String(base), weight: String(examples) };
  for (;;) {
    const outcome = await run.contribute(Object.fromEntries(tensors), metadata);
    // Too few contributions came in time. The next round has the same variables, so this one is still valid.
    if (outcome !== "round_dropped") return outcome;
  }
}
