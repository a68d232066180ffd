/**
 * A complete service in memory for the tests of routes: the real app on the real registry, with a fixed clock. It has
 * no socket: sockets_slow_test.ts and main_slow_test.ts test that. Requests are sent as bytes through the lane, or, with
 * STEPWELL_HTTP=deno, to the app, which is what Deno's server hands over.
 */
import assert from "node:assert/strict";
import { runCompiled } from "../../../kernels/compiler/runner.ts";
import { createApp } from "../../../routes/app.ts";
import type { App, Services } from "../../../routes/http/context.ts";
import { Metrics } from "../../../routes/http/metrics.ts";
import { Tokens } from "../../../routes/http/tokens.ts";
import type { Problem } from "../../../routes/http/problem.ts";
import { gatesOf } from "../../../routes/http/gates.ts";
import { Losses } from "../../../src/autodiff/losses.ts";
import { readSettings, type Settings } from "../../../src/config.ts";
import type { ErrorCode } from "../../../src/errors.ts";
import { Registry } from "../../../src/run/registry/registry.ts";
import { KeysInProgress } from "../../../src/run/answers/replies.ts";
import { assertDocumented } from "./documented.ts";
import { type Ask, memoryLane } from "./memory_lane.ts";

export interface Service extends Services {
  readonly app: App;
  readonly lines: Readonly<Record<string, unknown>>[];
  /** Sends a request. A `body` that is neither text nor bytes is sent as JSON. */
  readonly send: (method: string, path: string, options?: SendOptions) => Promise<Response>;
}

interface SendOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export const JSON_TYPE = "application/json";
/** Where requests come from, as over the lane in memory. */
const OWN_ADDRESS: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
export const FILE_TYPE = "application/vnd.safetensors";

export function startService(
  settings: Partial<Settings> = {},
  replaced: Partial<Services> = {},
): Service {
  const all: Settings = { ...readSettings(() => undefined), ...settings };
  const lines: Record<string, unknown>[] = [];
  let ids = 0;
  const services: Services = {
    settings: all,
    registry: new Registry({
      runsMax: all.STEPWELL_RUNS_MAX,
      memoryBytesMax: all.STEPWELL_MEMORY_BYTES_MAX,
      runner: runCompiled,
      now: () => new Date("2025-01-31T12:00:00Z"),
      newId: () => `run-${++ids}`,
      drawSeed: () => 7,
    }),
    creations: new KeysInProgress(),
    losses: new Losses(all),
    ...gatesOf(all),
    metrics: new Metrics(),
    tokens: new Tokens(all),
    ownPort: () => all.STEPWELL_PORT,
    now: () => 1500,
    wallClock: () => new Date("2025-01-31T12:00:00Z"),
    log: (line) => lines.push({ ...line }),
    stopping: new AbortController().signal,
    ...replaced,
  };
  const app = createApp(services);
  const ask: Ask = Deno.env.get("STEPWELL_HTTP") === "deno"
    ? async (path, init) => await app.request(path, init, { remoteAddr: OWN_ADDRESS })
    : memoryLane(app, services);
  const request = async (method: string, path: string, init: RequestInit) => {
    const response = await ask(path, { ...init, method });
    assertDocumented(app, method, path, response);
    return response;
  };
  const send: Service["send"] = async (method, path, { body, headers = {} } = {}) => {
    if (body === undefined) return await request(method, path, { headers });
    const type = body instanceof Uint8Array ? FILE_TYPE : JSON_TYPE;
    const raw = body instanceof Uint8Array || body instanceof ReadableStream || typeof body === "string"
      ? body
      : JSON.stringify(body);
    const bytes = typeof raw === "string" ? new TextEncoder().encode(raw) : raw;
    return await request(method, path, {
      body: bytes as BodyInit,
      headers: {
        "Content-Type": type,
        // Every client sends it, but a constructed Request does not have it.
        ...bytes instanceof Uint8Array && { "Content-Length": String(bytes.length) },
        ...headers,
      },
    });
  };
  return { ...services, app, lines, send };
}

/** A run with a matrix, a vector, an embedding and a scalar; Adam, one step taken. */
export async function startRun(service: Service, id = "demo"): Promise<void> {
  const created = await service.send("POST", "/v1/runs", { body: { ...SPEC, id } });
  assert.equal(created.status, 201, await created.text());
  const stepped = await service.send("POST", `/v1/runs/${id}/gradients`, { body: { gradients: GRADIENTS } });
  assert.equal(stepped.status, 200, await stepped.text());
}

export const SPEC = {
  optimizer: { class_name: "Adam", config: { learning_rate: 0.1 } },
  variables: [
    { name: "kernel", shape: [2, 3], initial: [[1, 2, 3], [4, 5, 6]], constraint: "NonNeg" },
    { name: "bias", shape: [3] },
    { name: "emb", shape: [4, 2], initial: 0.5 },
    { name: "scale", shape: [], initial: 1 },
  ],
};

export const GRADIENTS = {
  kernel: [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]],
  bias: [1, -1, 0.5],
  emb: { indices: [3, 0, 3], values: [[1, 2], [3, 4], [5, 6]] },
  scale: 0.25,
};

/** Everything that a caller can see of a run, bit for bit. */
export async function stateOf(service: Service, id = "demo"): Promise<string> {
  const parts = [];
  for (const part of ["", "/variables", "/weights", "/optimizer", "/steps", "/checkpoint"]) {
    const response = await service.send("GET", `/v1/runs/${id}${part}`, {
      headers: { Accept: `${FILE_TYPE}, */*;q=0.1` },
    });
    assert.equal(response.status, 200);
    parts.push(response.headers.get("ETag"), (await response.bytes()).toBase64());
  }
  return parts.join("\n");
}

/** Asserts that the answer is a complete problem, and returns it. */
export async function assertProblem(
  response: Response,
  code: ErrorCode,
  status: number | undefined,
): Promise<Problem> {
  const text = await response.text();
  assert.equal(response.headers.get("Content-Type"), "application/problem+json", text);
  const problem = JSON.parse(text) as Problem;
  assert.equal(problem.code, code, text);
  assert.equal(problem.status, status, text);
  assert.equal(response.status, status, text);
  assert.equal(problem.type, `urn:stepwell:problem:${code}`);
  assert.equal(problem.request_id, response.headers.get("X-Request-Id"));
  assert.deepEqual(Object.keys(problem), [
    "type",
    "title",
    "status",
    "detail",
    "code",
    "request_id",
    "issues",
  ]);
  for (const { path, message } of problem.issues) {
    assert.ok(typeof path === "string" && message.length > 0, text);
  }
  return problem;
}

interface FileTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A safetensors file, valid or not, as its parts say. */
export function file(
  tensors: Readonly<Record<string, FileTensor>>,
  metadata?: Readonly<Record<string, unknown>>,
): Uint8Array<ArrayBuffer> {
  let end = 0;
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [end, end += bytes.length] };
  }
  const body = new Uint8Array(end);
  end = 0;
  for (const { bytes } of Object.values(tensors)) body.set(bytes, (end += bytes.length) - bytes.length);
  return rawFile(JSON.stringify(header), body);
}

export function rawFile(
  header: string,
  body: ArrayLike<number>,
  headerBytes?: number,
): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes ?? text.length), true);
  bytes.set(text, 8);
  bytes.set(body, 8 + text.length);
  return bytes;
}

export function f32(shape: readonly number[], values: ArrayLike<number>): FileTensor {
  return { dtype: "F32", shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}

export function i64(shape: readonly number[], values: readonly number[]): FileTensor {
  return { dtype: "I64", shape, bytes: new Uint8Array(BigInt64Array.from(values, BigInt).buffer) };
}

/** Header and values of a file. */
export function readFile(
  bytes: Uint8Array,
): { metadata: Record<string, string>; values: Record<string, number[]> } {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const { __metadata__: metadata = {}, ...entries } = header;
  const values = Object.fromEntries(
    Object.entries(entries as Record<string, { dtype: string; data_offsets: [number, number] }>).map(
      ([name, { dtype, data_offsets: [from, to] }]) => {
        const part = bytes.slice(start + from, start + to).buffer;
        return [
          name,
          dtype === "I64" ? [...new BigInt64Array(part)].map(Number) : [...new Float32Array(part)],
        ];
      },
    ),
  );
  return { metadata, values };
}
