/**
 * Benchmark of custom optimizers: Adam, registered again under another name, against the built-in Adam, in whole
 * steps of a session; and the time to register a new rule, which compiles it, and to take its first steps.
 */
import { runCompiled } from "../kernels/compiler/runner.ts";
import { catalog } from "../src/families/catalog.ts";
import { Registry } from "../src/run/registry/registry.ts";
import type { Session } from "../src/run/session/session.ts";
import type { Benchmark } from "./bench.ts";
import { gradientValues } from "./data.ts";
import { checkEqual, comparePairs, quantile, timed } from "./harness.ts";
import { MEMBERS } from "./kernel_step.ts";
import { countRow, type Goal, ratioRow, showCount } from "./row.ts";

const COUNTS = [1_000, 1_000_000];
const GOAL: Goal = { relation: "≥", value: 0.98 };
/** Even, so that each of the two is created first equally often. */
const PAIRS = 8, PAIRS_QUICK = 2;
const NEW_RULES = 50;
const SMALL = 1000;

export const customBenchmark: Benchmark = {
  name: "custom",
  async *rows({ compare: options, quick }) {
    const adam = catalog().optimizers.find(({ class_name }) => class_name === "Adam")?.variants[0]
      ?.definition;
    if (!adam) throw new Error("The catalogue has no Adam");
    for (const count of COUNTS) {
      const gradient = new Uint8Array(gradientValues(count, 2).buffer);
      const work = `custom Adam ${showCount(count)}`;
      const create = async (class_name: "Adam" | "AdamOfMine"): Promise<Session> => {
        const registry = newRegistry();
        if (class_name !== "Adam") await registry.optimizers.register({ ...adam, class_name });
        const optimizer = { ...MEMBERS.Adam, class_name };
        return await registry.create({ optimizer, variables: [{ name: "w", shape: [count] }] });
      };
      const comparison = await comparePairs(quick ? PAIRS_QUICK : PAIRS, async (n) => {
        let builtIn = n % 2 === 0 ? await create("Adam") : undefined;
        const own = await create("AdamOfMine");
        builtIn ??= await create("Adam");
        for (const session of [own, builtIn]) step(session, gradient, count);
        checkEqual(work, valuesOf(own), valuesOf(builtIn));
        return {
          ours: timed("custom", () => step(own, gradient, count)),
          rival: timed("built in", () => step(builtIn, gradient, count)),
        };
      }, options);
      yield ratioRow(work, "the built-in Adam", comparison, { goal: GOAL });
    }

    const registering: number[] = [], first: number[] = [], second: number[] = [];
    const gradient = new Uint8Array(gradientValues(SMALL, 2).buffer);
    const registry = newRegistry();
    for (let n = 0; n < NEW_RULES; n += 1) {
      const class_name = `Rule${n}`;
      // Each rule has a different number, so that no kernel is cached: the trial compiles the kernels of the first step.
      const dense = adam.dense.map((line) => line.replace("w = w -", `w = w * ${1 - (n + 1) / 1e6} -`));
      registering.push(
        await elapsed(() => registry.optimizers.register({ ...adam, class_name, dense, sparse: null })),
      );
      const session = await registry.create({
        optimizer: class_name,
        variables: [{ name: "w", shape: [SMALL] }],
      });
      first.push(await elapsed(() => step(session, gradient, SMALL)));
      second.push(await elapsed(() => step(session, gradient, SMALL)));
    }
    const row = (against: string, ms: number[]) =>
      countRow("a new rule", against, {
        figure: quantile(ms, 0.5),
        unit: "ms",
        note: `${NEW_RULES} rules, 80th percentile ${quantile(ms, 0.8).toFixed(2)} ms`,
      });
    yield row("registered: checks, trial", registering);
    yield row("its first step", first);
    yield row("its second step", second);
  },
};

function newRegistry(): Registry {
  let ids = 0;
  return new Registry({
    runsMax: 1000,
    memoryBytesMax: 2 ** 32,
    runner: runCompiled,
    now: () => new Date(),
    newId: () => `bench-${ids++}`,
    drawSeed: () => 7,
  });
}

async function elapsed(act: () => unknown): Promise<number> {
  const start = performance.now();
  await act();
  return performance.now() - start;
}

function step(session: Session, bytes: Uint8Array, count: number): void {
  const staging = session.stage("gradients");
  const sink = staging.dense("w", { dtype: "F32", shape: [count] });
  sink.write(bytes);
  sink.close();
  session.applyGradients(staging, { aggregate: true, dryRun: false });
  staging.release();
}

function valuesOf(session: Session): Float32Array {
  const publication = session.publish();
  const values = publication.tensors[0]?.values ?? new Float32Array();
  publication.release();
  return values;
}
