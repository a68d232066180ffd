/**
 * Losses that the service minimizes: requests a second over HTTP, against tfjs that does the same in this process; the first
 * call, which loads tfjs; and what gradients that are sent cost while a loss is evaluated, which is to be as if there were
 * none.
 */
import { decodeTensors } from "../examples/safetensors.ts";
import { startService } from "../examples/service_process.ts";
import type { Benchmark } from "./bench.ts";
import { gradientValues } from "./data.ts";
import { checkEqual, compare, type CompareOptions, type Contender, timed, timedAsync } from "./harness.ts";
import { HttpConnection } from "./http_connection.ts";
import { HEAVY, networkWork, seedWork, type Work } from "./minimize_work.ts";
import { mainThreadUs } from "./process_figures.ts";
import { startTfjs } from "./rivals/tfjs.ts";
import { tfjsLossStepper } from "./rivals/tfjs_loss.ts";
import { countRow, type Goal, ratioRow, type Row } from "./row.ts";
import { SAFETENSORS } from "./service_work.ts";

const CLIENTS = 8;
/** If the thread that serves evaluated losses too, it would be many times that. */
const GOAL: Goal = { relation: "≤", value: 1.2 };
/** A thread's time moves in steps of 10 ms. */
const TICKS_MS = 200;

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

export const minimizeBenchmark: Benchmark = {
  name: "minimize",
  async *rows({ compare: options, quick }) {
    await startTfjs();
    const service = await startService();
    const lanes = await Promise.all(Array.from({ length: CLIENTS }, () => HttpConnection.open(service.url)));
    const [connection] = lanes as [HttpConnection];
    const requests = quick ? 200 : 2000;
    try {
      let isFirst = true;
      for (const work of [seedWork(), networkWork()]) {
        const ids = Array.from({ length: CLIENTS }, (_, lane) => `${isFirst ? "seed" : "network"}-${lane}`);
        for (const id of ids) await create(connection, id, work);
        const body = encode(work.body);
        const minimize = async (lane: number, id = ids[lane] as string) => {
          await lanes[lane]?.request("POST", `/v1/runs/${id}/minimize`, { body });
        };
        const rival = tfjsLossStepper(work.rival);
        const started = performance.now();
        await minimize(0);
        if (isFirst) {
          yield countRow("minimize", "first call: loads tfjs", {
            figure: performance.now() - started,
            unit: "ms",
          });
        }
        rival.step();
        await check(connection, ids[0] as string, { work, rival });
        yield ratioRow(
          `minimize ${work.name}`,
          "tfjs in this process, no HTTP",
          await compare(timedAsync("service", () => minimize(0)), timed("tfjs", () => rival.step()), options),
        );
        for (
          const [clients, what] of [[1, "one client"], [CLIENTS, `${CLIENTS} clients, a run each`]] as const
        ) {
          yield await rate(`minimize ${work.name}`, what, {
            clients,
            requests,
            request: (lane) => minimize(lane),
          });
        }
        yield await rate(`minimize ${work.name}`, `${CLIENTS} clients, one run`, {
          clients: CLIENTS,
          requests,
          request: (lane) => minimize(lane, ids[0]),
        });
        rival.dispose();
        isFirst = false;
      }
      yield* besideLosses(lanes, service.pid, options);
    } finally {
      lanes.forEach((lane) => lane.close());
      await service.stop();
    }
  },
};

/** A run of the work's variables; the rival keeps nothing on disk. */
async function create(connection: HttpConnection, id: string, { rival }: Work): Promise<void> {
  const variables = Object.entries(rival.variables).map(([name, { shape, values }]) => {
    const initial = { dtype: "float32", shape, base64: new Uint8Array(values.slice().buffer).toBase64() };
    return { name, shape, initial };
  });
  const optimizer = { class_name: "SGD", config: { learning_rate: rival.learningRate } };
  const spec = { id, optimizer, variables, durability: "none" };
  await connection.request("POST", "/v1/runs", { body: encode(spec) });
}

/** Both have made one step. */
async function check(
  connection: HttpConnection,
  id: string,
  { work, rival }: { work: Work; rival: ReturnType<typeof tfjsLossStepper> },
): Promise<void> {
  const answer = await connection.request("GET", `/v1/runs/${id}/variables`, { accept: SAFETENSORS });
  for (const [name, { values }] of decodeTensors(answer.body).tensors) {
    checkEqual(`${work.name}: ${name}`, values as Float32Array, rival.values(name), 1e-6);
  }
}

async function rate(
  work: string,
  against: string,
  { clients, requests, request }: {
    clients: number;
    requests: number;
    request: (lane: number) => Promise<void>;
  },
) {
  for (let lane = 0; lane < clients; lane += 1) await request(lane);
  const start = performance.now();
  await Promise.all(Array.from({ length: clients }, async (_, lane) => {
    for (let done = lane; done < requests; done += clients) await request(lane);
  }));
  const seconds = (performance.now() - start) / 1000;
  return countRow(work, against, { figure: requests / seconds, unit: "1/s", note: `${requests} requests` });
}

/**
 * A gradients request when nothing else happens, and while the worker evaluates one heavy loss after the other: what it
 * costs the thread that serves, and how long it takes, which on few cores tells more of the machine.
 */
async function* besideLosses(
  [own, other]: readonly HttpConnection[],
  pid: number,
  options: CompareOptions,
): AsyncGenerator<Row> {
  if (!own || !other) throw new Error("Cannot measure: two connections are needed");
  const count = 1000, values = gradientValues(count, 1);
  const runs = [
    { id: "sent", optimizer: "Adam", variables: [{ name: "w", shape: [count] }], durability: "none" },
    { id: "heavy", optimizer: "SGD", variables: HEAVY.variables, durability: "none" },
  ];
  for (const run of runs) await own.request("POST", "/v1/runs", { body: encode(run) });
  const gradients = encode({ gradients: { w: [...values] } }), heavy = encode(HEAVY.body);
  const quiet = timedAsync("gradients", async () => {
    await own.request("POST", "/v1/runs/sent/gradients", { body: gradients });
  });
  const busy: Contender = {
    name: "gradients beside losses",
    async cost(count) {
      let isOver = false;
      const evaluating = (async () => {
        while (!isOver) await other.request("POST", "/v1/runs/heavy/minimize", { body: heavy });
      })();
      const us = await quiet.cost(count);
      isOver = true;
      await evaluating;
      return us;
    },
  };
  const against = "the same while losses are evaluated";
  const onMain = await compare(onMainThread(busy, pid), onMainThread(quiet, pid), {
    ...options,
    burstMs: TICKS_MS,
    rounds: Math.min(options.rounds, 11),
  });
  yield ratioRow("gradients of 1k, main thread's CPU", against, onMain, { goal: GOAL, as: "cost" });
  yield ratioRow("gradients of 1k, latency", against, await compare(busy, quiet, options), { as: "cost" });
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
