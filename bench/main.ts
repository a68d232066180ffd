/**
 * The program behind `deno task bench [-- names…] [--quick]`: runs the benchmarks, prints each row as it comes,
 * writes all rows to `.bench/result.json`, and exits with 1 when a goal was missed.
 *
 * STEPWELL_BENCH_PYTHON names Pythons, with commas between, that can import what the rivals need; the default is
 * `python3`.
 */
import { parseArgs } from "node:util";
import { aggregateBenchmark } from "./aggregate.ts";
import type { Benchmark, Context } from "./bench.ts";
import { clipBenchmark } from "./clip.ts";
import { customBenchmark } from "./custom.ts";
import { denseBenchmarks } from "./dense.ts";
import { durabilityBenchmark } from "./durability.ts";
import { figuresBenchmark } from "./figures.ts";
import { FULL, QUICK } from "./harness.ts";
import { ingestBenchmark } from "./ingest.ts";
import { listenersBenchmark } from "./listeners.ts";
import { memoryBenchmark } from "./memory.ts";
import { minimizeBenchmark } from "./minimize.ts";
import { normBenchmark } from "./norm.ts";
import { openNative } from "./rivals/native.ts";
import { cpuName } from "./process_figures.ts";
import type { Row } from "./row.ts";
import { serviceBenchmark } from "./service.ts";
import { smallRunsBenchmark } from "./small_runs.ts";
import { sparseBenchmark } from "./sparse.ts";
import { startBenchmark } from "./start.ts";
import { showHead, showRow } from "./table.ts";
import { COUNTS } from "./work.ts";

/** All benchmarks in the order in which they run. */
const BENCHMARKS: readonly Benchmark[] = [
  ...denseBenchmarks,
  normBenchmark,
  clipBenchmark,
  customBenchmark,
  sparseBenchmark,
  aggregateBenchmark,
  figuresBenchmark,
  ingestBenchmark,
  serviceBenchmark,
  startBenchmark,
  memoryBenchmark,
  smallRunsBenchmark,
  listenersBenchmark,
  durabilityBenchmark,
  minimizeBenchmark,
];

const RESULT_FILE = new URL("../.bench/result.json", import.meta.url);

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: args.filter((arg) => arg !== "--"),
    options: { quick: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const chosen = choose(positionals);
  if (chosen === null) return 2;
  const context: Context = {
    compare: values.quick ? QUICK : FULL,
    quick: values.quick,
    native: await openNative(),
    counts: COUNTS,
  };
  const rows: Row[] = [];
  console.log(`${cpuName()}, ${navigator.hardwareConcurrency} cores`);
  console.log(showHead());
  for (const benchmark of chosen) {
    for await (const row of benchmark.rows(context)) {
      rows.push(row);
      console.log(showRow(row));
    }
  }
  context.native?.close();
  await writeResult(rows, values.quick);
  const missed = rows.filter((row) => row.verdict === "missed").length;
  console.log(`${rows.length} rows, ${missed} goals missed; written to .bench/result.json`);
  return missed > 0 ? 1 : 0;
}

/** The benchmarks with these names, or all when there are no names; null when a name is unknown. */
function choose(names: readonly string[]): readonly Benchmark[] | null {
  const known = BENCHMARKS.map((benchmark) => benchmark.name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    console.error(`Cannot run ${unknown.join(", ")}: the benchmarks are ${known.join(", ")}`);
    return null;
  }
  return names.length === 0 ? BENCHMARKS : BENCHMARKS.filter((benchmark) => names.includes(benchmark.name));
}

async function writeResult(rows: readonly Row[], quick: boolean): Promise<void> {
  const cpu = cpuName();
  const machine = { cpu, cores: navigator.hardwareConcurrency, os: Deno.build.os, arch: Deno.build.arch };
  const result = {
    made_at: new Date().toISOString(),
    quick,
    machine,
    versions: Deno.version,
    rows: rows.map((row) => ({ ...row, cpu })),
  };
  await Deno.mkdir(new URL(".", RESULT_FILE), { recursive: true });
  await Deno.writeTextFile(RESULT_FILE, JSON.stringify(result, null, 2) + "\n");
}

Deno.exit(await main(Deno.args));
