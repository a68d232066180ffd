/**
 * One client as a process: it holds a shard of the digits, computes gradients on it and sends them. Its images
 * never leave the process. main.ts starts eight clients; to start one by hand:
 *
 *     deno run --allow-net --allow-read --allow-env client.ts http://127.0.0.1:8080 digits 0 8 150
 *
 * Arguments: the service, the run, this client's number, the number of clients, the number of steps.
 * Standard output: one line `{"loss": …}` for each step.
 */
import { RunClient } from "../run_client.ts";
import { drawBatch, readDigits, shard } from "./digits.ts";
import { gradients, startTensorFlow } from "./network.ts";

const BATCH = 32;

const [service = "", runId = "", number = "0", clients = "1", steps = "1"] = Deno.args;
const run = new RunClient(service, runId);
const { train } = await readDigits();
const own = shard(train, Number(number), Number(clients));
await startTensorFlow();

let state = await run.variables();
for (let step = 0; step < Number(steps); step += 1) {
  const { loss, gradients: found } = gradients(state.tensors, drawBatch(own, BATCH, Math.random));
  state = await run.step(found, { client_id: `client-${number}` });
  console.log(JSON.stringify({ loss }));
}
