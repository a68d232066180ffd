/**
 * The cost of sent gradients while a worker evaluates heavy losses without pause. The CPU time of the main thread is
 * compared with that without losses; the latency is compared with that beside another process that keeps as much of
 * the machine busy.
 */
import { gradientValues } from "./data.ts";
import { compare, type CompareOptions, type Contender, timedAsync } from "./harness.ts";
import type { HttpConnection } from "./http_connection.ts";
import { encode, HEAVY } from "./minimize_work.ts";
import { mainThreadUs } from "./process_figures.ts";
import { type Goal, ratioRow, type Row } from "./row.ts";

/** If the main thread evaluated the losses, gradients would cost many times as much. */
const GOAL: Goal = { relation: "≤", value: 1.2 };
/** A thread's CPU time is counted in steps of 10 ms. */
const TICKS_MS = 200;
/** Long enough for the scheduler to balance the cores. */
const BUSY_MS = 100;

/** The rows of this benchmark; needs two connections to the service with process id `pid`. */
export async function* besideLosses(
  [own, other]: readonly HttpConnection[],
  pid: number,
  options: CompareOptions,
): AsyncGenerator<Row> {
  if (!own || !other) throw new Error("Cannot measure beside losses: two connections are needed");
  const count = 1000, values = gradientValues(count, 1);
  const runs = [
    { id: "sent", optimizer: "Adam", variables: [{ name: "w", shape: [count] }], durability: "none" },
    { id: "heavy", optimizer: "SGD", variables: HEAVY.variables, durability: "none" },
  ];
  for (const run of runs) await own.request("POST", "/v1/runs", { body: encode(run) });
  const gradients = encode({ gradients: { w: [...values] } }), heavy = encode(HEAVY.body);
  const alone = timedAsync("gradients", async () => {
    await own.request("POST", "/v1/runs/sent/gradients", { body: gradients });
  });
  const losses = beside(alone, () => {
    let isOver = false;
    const evaluating = (async () => {
      while (!isOver) await other.request("POST", "/v1/runs/heavy/minimize", { body: heavy });
    })();
    return async () => {
      isOver = true;
      await evaluating;
    };
  });
  const onMain = await compare(onMainThread(losses, pid), onMainThread(alone, pid), {
    ...options,
    burstMs: TICKS_MS,
    rounds: Math.min(options.rounds, 11),
  });
  const work = "gradients while losses are evaluated";
  yield ratioRow(work, "none evaluated: main thread's CPU", onMain, { goal: GOAL, as: "cost" });

  const process = new Deno.Command(Deno.execPath(), { args: ["eval", "for (;;);"] }).spawn();
  process.kill("SIGSTOP");
  try {
    const another = beside(alone, () => {
      process.kill("SIGCONT");
      return () => process.kill("SIGSTOP");
    });
    const latency = await compare(losses, another, { ...options, burstMs: BUSY_MS });
    yield ratioRow(work, "another process busy: latency", latency, { goal: GOAL, as: "cost" });
  } finally {
    process.kill("SIGKILL");
    await process.status;
  }
}

/** The same contender while other work goes on: `begin` starts that work and returns a function that ends it. */
function beside({ name, cost }: Contender, begin: () => () => unknown): Contender {
  return {
    name,
    async cost(count) {
      const end = begin();
      const us = await cost(count);
      await end();
      return us;
    },
  };
}

function onMainThread({ name, cost }: Contender, pid: number): Contender {
  return {
    name,
    async cost(count) {
      const before = mainThreadUs(pid);
      await cost(count);
      return mainThreadUs(pid) - before;
    },
  };
}
