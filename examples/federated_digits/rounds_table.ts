/**
 * `deno run -A examples/federated_digits/rounds_table.ts`: makes the README's table of aggregators. Trains once for
 * every aggregator and every column, all with the same seed, and prints the test accuracy of each run.
 *
 * Exits with 1 when a robust aggregator stays below 93 %, or when the plain mean reaches 93 % under an attack.
 */
import { parseArgs } from "node:util";
import { startService } from "../service_process.ts";
import { OPTIONS, readSettings } from "./federation.ts";
import { trainInRounds } from "./train_in_rounds.ts";

const GOAL = 0.93;

const ROWS = ["Mean", "Median", "TrimmedMean", "Krum", "MultiKrum", "GeometricMedian", "NormBoundedMean"];

// The columns with attacks have no stragglers, so that a slow machine never meets the deadline.
const HOSTILE = ["--stragglers", "0", "--deadline", "600", "--hostile", "0.2", "--attack"];
const COLUMNS: readonly {
  readonly head: string;
  readonly args: readonly string[];
  readonly isAttack: boolean;
}[] = [
  { head: "30 % stragglers", args: ["--stragglers", "0.3", "--hostile", "0"], isAttack: false },
  { head: "20 % flip signs", args: [...HOSTILE, "sign_flip"], isAttack: true },
  { head: "20 % send noise", args: [...HOSTILE, "noise"], isAttack: true },
  { head: "20 % send 100", args: [...HOSTILE, "constant"], isAttack: true },
];

const { values: { seed } } = parseArgs({ options: { seed: OPTIONS.seed } });
const missed: string[] = [];
const service = await startService();
try {
  console.log(`| aggregator | ${COLUMNS.map(({ head }) => head).join(" | ")} |`);
  console.log(`| - |${" -: |".repeat(COLUMNS.length)}`);
  for (const aggregator of ROWS) {
    const cells: string[] = [];
    for (const { head, args, isAttack } of COLUMNS) {
      const options = [...args, "--aggregator", aggregator, "--seed", seed];
      const settings = readSettings(parseArgs({ args: options, options: OPTIONS }).values);
      const { reached } = await trainInRounds(service.url, settings);
      cells.push(`${(reached * 100).toFixed(1)} %`);
      const isToFail = isAttack && aggregator === "Mean";
      if (reached >= GOAL === isToFail) missed.push(`${aggregator}, ${head}: ${cells.at(-1)}`);
    }
    console.log(`| \`${aggregator}\` | ${cells.join(" | ")} |`);
  }
} finally {
  await service.stop();
}
console.log(`seed ${seed}; ${missed.length === 0 ? "all goals reached" : `missed: ${missed.join("; ")}`}`);
Deno.exitCode = missed.length === 0 ? 0 : 1;
