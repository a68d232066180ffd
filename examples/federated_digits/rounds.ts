/**
 * `deno run -A examples/federated_digits/rounds.ts`: ten clients train the network in rounds, and two of them are
 * hostile. Shows the test accuracy after each round and the outcomes of the contributions. Exits with 1 when the
 * final test accuracy is below 93 % (`--accuracy`). README.md describes the options.
 */
import { parseArgs } from "node:util";
import { startService } from "../service_process.ts";
import { OPTIONS, readSettings } from "./federation.ts";
import { trainInRounds } from "./train_in_rounds.ts";

const { values } = parseArgs({
  options: { ...OPTIONS, url: { type: "string" }, accuracy: { type: "string", default: "93" } },
});
const settings = readSettings(values);
console.log(Object.entries(settings).map(([name, value]) => `${name} ${value}`).join("  "));
const service = values.url === undefined ? await startService() : null;
try {
  const started = performance.now();
  const { reached, images, counts } = await trainInRounds(values.url ?? service?.url ?? "", settings, show);
  for (const [what, count] of [...counts].sort()) console.log(`${String(count).padStart(5)} ${what}`);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${images} test images, ${(reached * 100).toFixed(1)} % read right, after ${seconds} s`);
  Deno.exitCode = reached * 100 >= Number(values.accuracy) ? 0 : 1;
} finally {
  await service?.stop();
}

/** `round  7/15  [####......]  test accuracy 91.4 %` */
function show(round: number, reached: number): void {
  const filled = Math.round(reached * 40);
  const bar = `[${"#".repeat(filled)}${".".repeat(40 - filled)}]`;
  const place = `${String(round).padStart(3)}/${settings.rounds}`;
  console.log(`round ${place}  ${bar}  test accuracy ${(reached * 100).toFixed(1)} %`);
}
