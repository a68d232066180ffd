/**
 * A service with a data folder in this process, so that benchmarks can see its inside: flushes, recovery, and when a
 * snapshot is written. Clients reach it over sockets, as they reach a real service.
 */
import { encodeTensors } from "../examples/safetensors.ts";
import { runCompiled } from "../kernels/compiler/runner.ts";
import { createApp } from "../routes/app.ts";
import { Metrics } from "../routes/http/metrics.ts";
import { Tokens } from "../routes/http/tokens.ts";
import { gatesOf } from "../routes/http/gates.ts";
import { Losses } from "../src/autodiff/losses.ts";
import { readSettings } from "../src/config.ts";
import { Registry } from "../src/run/registry/registry.ts";
import { KeysInProgress } from "../src/run/answers/replies.ts";
import type { AppendFile, Files } from "../src/store/files.ts";
import { openStore } from "../src/store/open_store.ts";
import type { StoreParts } from "../src/store/run_store.ts";
import { gradientValues } from "./data.ts";
import { HttpConnection } from "./http_connection.ts";
import { MEMBERS } from "./kernel_step.ts";
import { SAFETENSORS } from "./service_work.ts";

export interface StoredService {
  readonly url: string;
  readonly registry: Registry;
  /** The number of flushes of files and folders so far. */
  readonly flushes: number;
  /** Bytes of all journals. */
  journalBytes(): number;
  /** A registry as a new process would open it: no run is in memory yet. */
  reopened(): Promise<Registry>;
  /** Stops the service and deletes the folder. */
  stop(): Promise<void>;
}

export async function startStoredService(): Promise<StoredService> {
  const folder = await Deno.makeTempDir();
  const counts = { flushes: 0 };
  const opened = await openStore({ folder, kv: "", newId: () => crypto.randomUUID() });
  const store = { ...opened, files: counting(opened.files, counts) };
  const registry = await openRegistry(store);
  const settings = readSettings(() => undefined);
  const app = createApp({
    settings,
    registry,
    creations: new KeysInProgress(),
    wallClock: () => new Date(),
    losses: new Losses(settings),
    ...gatesOf(settings),
    metrics: new Metrics(),
    tokens: new Tokens(settings),
    ownPort: (): number => server.addr.port,
    now: () => performance.now(),
    log: () => {},
    stopping: new AbortController().signal,
  });
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => app.fetch(request),
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    registry,
    get flushes() {
      return counts.flushes;
    },
    journalBytes: () => [...journals(store.folder)].reduce((sum, path) => sum + Deno.statSync(path).size, 0),
    reopened: () => openRegistry(store),
    async stop() {
      await server.shutdown();
      store.configs.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

function openRegistry(store: StoreParts): Promise<Registry> {
  return Registry.open({
    runsMax: 100_000,
    // Every sweep writes a snapshot of each run that has changed.
    journalBytesMax: 0,
    memoryBytesMax: 2 ** 32,
    runner: runCompiled,
    now: () => new Date(),
    newId: () => crypto.randomUUID(),
    drawSeed: () => 7,
    store,
  });
}

function* journals(runs: string): Generator<string> {
  for (const { name: run } of Deno.readDirSync(runs)) {
    for (const { name } of Deno.readDirSync(`${runs}/${run}`)) {
      if (name.startsWith("journal-")) yield `${runs}/${run}/${name}`;
    }
  }
}

function counting(files: Files, counts: { flushes: number }): Files {
  const counted = (file: AppendFile) => {
    const sync = file.sync.bind(file), syncNow = file.syncNow.bind(file);
    return Object.assign(file, {
      sync: () => (counts.flushes += 1, sync()),
      syncNow: () => (counts.flushes += 1, syncNow()),
    });
  };
  return {
    ...files,
    create: (path) => counted(files.create(path)),
    resume: (path, bytes) => counted(files.resume(path, bytes)),
    sync: (path) => (counts.flushes += 1, files.sync(path)),
  };
}

interface RunOptions {
  readonly id: string;
  readonly count: number;
  readonly durability?: "journal" | "none";
}

/** Creates a run with one variable and Adam; returns a function that takes a step of it. */
export async function openRun(
  connection: HttpConnection,
  { id, count, durability = "journal" }: RunOptions,
): Promise<(other?: HttpConnection) => Promise<void>> {
  const variables = [{ name: "w", shape: [count] }];
  const spec = JSON.stringify({ id, optimizer: MEMBERS.Adam, variables, durability });
  await connection.request("POST", "/v1/runs", { body: new TextEncoder().encode(spec) });
  const body = encodeTensors({ w: { shape: [count], values: gradientValues(count, 2) } });
  return async (other = connection) => {
    await other.request("POST", `/v1/runs/${id}/gradients`, { type: SAFETENSORS, body });
  };
}

/** Calls `act` with a new service and a connection to it. */
export async function withService<Result>(
  act: (service: StoredService, connection: HttpConnection) => Promise<Result>,
): Promise<Result> {
  const service = await startStoredService();
  const connection = await HttpConnection.open(service.url);
  try {
    return await act(service, connection);
  } finally {
    connection.close();
    await service.stop();
  }
}
