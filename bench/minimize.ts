/**
 * Benchmark of losses that the service minimizes: requests per second over HTTP, against tfjs doing the same in this
 * process; the first call, which loads tfjs; and the cost of sent gradients while losses are evaluated.
 */
import { decodeTensors } from "../examples/safetensors.ts";
import { startService } from "../examples/service_process.ts";
import type { Benchmark } from "./bench.ts";
import { checkEqual, compare, type CompareOptions, timed, timedAsync } from "./harness.ts";
import { HttpConnection } from "./http_connection.ts";
import { besideLosses } from "./minimize_beside.ts";
import { encode, networkWork, seedWork, type Work } from "./minimize_work.ts";
import { startTfjs } from "./rivals/tfjs.ts";
import { tfjsLossStepper } from "./rivals/tfjs_loss.ts";
import { countRow, ratioRow, type Row } from "./row.ts";
import { SAFETENSORS } from "./service_work.ts";

const CLIENTS = 8;

export const minimizeBenchmark: Benchmark = {
  name: "minimize",
  async *rows({ compare: options, quick }) {
    await startTfjs();
    const service = await startService();
    const open = () => HttpConnection.open(service.url);
    const lanes: Lanes = [await open(), ...await Promise.all(Array.from({ length: CLIENTS - 1 }, open))];
    try {
      yield await firstCall(lanes, seedWork());
      for (const work of [seedWork(), networkWork()]) {
        yield* rowsOf(work, { lanes, options, requests: quick ? 200 : 2000 });
      }
      yield* besideLosses(lanes, service.pid, options);
    } finally {
      lanes.forEach((lane) => lane.close());
      await service.stop();
    }
  },
};

type Lanes = readonly [HttpConnection, ...HttpConnection[]];

const minimize = (connection: HttpConnection, id: string, body: Uint8Array) =>
  connection.request("POST", `/v1/runs/${id}/minimize`, { body });

async function firstCall([connection]: Lanes, work: Work): Promise<Row> {
  await create(connection, "first", work);
  const started = performance.now();
  await minimize(connection, "first", encode(work.body));
  return countRow("minimize", "first call: loads tfjs", { figure: performance.now() - started, unit: "ms" });
}

async function* rowsOf(
  work: Work,
  { lanes, options, requests }: { lanes: Lanes; options: CompareOptions; requests: number },
): AsyncGenerator<Row> {
  const what = `minimize ${work.name}`, body = encode(work.body), rival = tfjsLossStepper(work.rival);
  const ids = lanes.map((_, lane) => `${work.id}-${lane}`), [first = ""] = ids;
  for (const id of ids) await create(lanes[0], id, work);
  await minimize(lanes[0], first, body);
  rival.step();
  await check(lanes[0], first, { work, rival });
  const ours = timedAsync("service", async () => {
    await minimize(lanes[0], first, body);
  });
  const comparison = await compare(ours, timed("tfjs", () => rival.step()), options);
  yield ratioRow(what, "tfjs in this process, no HTTP", comparison);
  rival.dispose();
  const rate = (against: string, connections: readonly HttpConnection[], idOf: (lane: number) => string) =>
    countRate(what, against, {
      requests,
      clients: connections.map((connection, lane) => () => minimize(connection, idOf(lane), body)),
    });
  yield await rate("one client", lanes.slice(0, 1), () => first);
  yield await rate(`${CLIENTS} clients, a run each`, lanes, (lane) => ids[lane] as string);
  yield await rate(`${CLIENTS} clients, one run`, lanes, () => first);
}

/** Creates a run with the work's variables. It keeps nothing on disk, like the rival. */
async function create(connection: HttpConnection, id: string, { rival }: Work): Promise<void> {
  const variables = Object.entries(rival.variables).map(([name, { shape, values }]) => {
    const initial = { dtype: "float32", shape, base64: new Uint8Array(values.slice().buffer).toBase64() };
    return { name, shape, initial };
  });
  const optimizer = { class_name: "SGD", config: { learning_rate: rival.learningRate } };
  const spec = { id, optimizer, variables, durability: "none" };
  await connection.request("POST", "/v1/runs", { body: encode(spec) });
}

/** Compares the variables after one step of both. */
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

/** Requests per second; each client sends its next request when the last one is answered. */
async function countRate(
  work: string,
  against: string,
  { clients, requests }: { clients: readonly (() => Promise<unknown>)[]; requests: number },
): Promise<Row> {
  await Promise.all(clients.map((request) => request()));
  const start = performance.now();
  await Promise.all(clients.map(async (request, lane) => {
    for (let done = lane; done < requests; done += clients.length) await request();
  }));
  const seconds = (performance.now() - start) / 1000;
  return countRow(work, against, { figure: requests / seconds, unit: "1/s", note: `${requests} requests` });
}
