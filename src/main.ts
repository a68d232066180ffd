/**
 * The composition root. Only this file reads the environment, opens ports, and uses clocks, randomness and signals.
 * It passes them to everything else.
 *
 * Invariant: once the port is open, the process gives up its permissions to open another and to read the environment.
 */
import { runCompiled } from "../kernels/compiler/runner.ts";
import { createApp } from "../routes/app.ts";
import { Metrics } from "../routes/http/metrics.ts";
import { gatesOf } from "../routes/http/gates.ts";
import { Losses } from "./autodiff/losses.ts";
import { readSettings, SettingError, type Settings } from "./config.ts";
import { StepwellError } from "./errors.ts";
import { LineLog } from "./line_log.ts";
import { releasable } from "./releasable.ts";
import { Registry } from "./run/registry/registry.ts";
import { KeysInProgress } from "./run/answers/replies.ts";
import { openStore } from "./store/open_store.ts";

const settings = settingsOrExit();
const log = new LineLog(Deno.stderr);
const start = performance.now();
const stopping = new AbortController();

const store = await storeOrExit(openStore({
  folder: settings.STEPWELL_DATA,
  kv: settings.STEPWELL_KV,
  newId: () => crypto.randomUUID(),
  notify: (notice) => logLine({ level: "warn", ...notice }),
}));
const registry = await storeOrExit(Registry.open({
  runsMax: settings.STEPWELL_RUNS_MAX,
  memoryBytesMax: settings.STEPWELL_MEMORY_BYTES_MAX,
  journalBytesMax: settings.STEPWELL_JOURNAL_BYTES,
  runner: runCompiled,
  now: () => new Date(),
  schedule: (delayMs, call) => {
    const timer = setTimeout(call, delayMs);
    return releasable(() => clearTimeout(timer));
  },
  newId: () => crypto.randomUUID(),
  drawSeed: () => crypto.getRandomValues(new Uint32Array(1))[0] as number,
  store,
  onFailure: ({ run, error }) => logFailure(error, { run }),
  onNotice: (notice) => logLine({ level: "warn", ...notice }),
}));
const losses = new Losses(settings);
const app = createApp({
  settings,
  losses,
  registry,
  creations: new KeysInProgress(),
  wallClock: () => new Date(),
  ...gatesOf(settings),
  metrics: new Metrics(),
  ownPort: () => server.addr.port,
  now: () => performance.now() - start,
  log: logLine,
  stopping: stopping.signal,
});
const inFlight = new Set<Promise<Response>>();
// Before the ready line: its reader may stop the service at once.
Deno.addSignalListener("SIGTERM", stop);
Deno.addSignalListener("SIGINT", stop);
const server = listenOrExit(settings);
// A remote database needs the network for as long as the service runs.
if (!/^https?:/.test(settings.STEPWELL_KV)) Deno.permissions.revokeSync({ name: "net" });
Deno.permissions.revokeSync({ name: "env" });
// An unexpected error in one part is logged; the other parts continue.
globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  logFailure(event.reason);
});
globalThis.addEventListener("error", (event) => {
  event.preventDefault();
  logFailure(event.error);
});
const sweeper = setInterval(sweep, settings.STEPWELL_SWEEP_SECONDS * 1000);

function settingsOrExit(): Settings {
  try {
    return readSettings((name) => Deno.env.get(name));
  } catch (error) {
    if (error instanceof SettingError) exitWith(error.message);
    throw error;
  }
}

function listenOrExit({ STEPWELL_HOST: hostname, STEPWELL_PORT: port }: Settings) {
  try {
    return Deno.serve({
      hostname,
      port,
      onListen: (address) => console.log(`Stepwell is ready at ${urlOf(address)}`),
    }, handle);
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      exitWith(
        `Cannot listen on ${hostname}:${port}: the port is taken; set STEPWELL_PORT to another, or to 0`,
      );
    }
    if (error instanceof Error) exitWith(`Cannot listen on ${hostname}:${port}: ${error.message}`);
    throw error;
  }
}

async function storeOrExit<T>(opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (error) {
    // A remote database may send a whole page as its error.
    const said = String(error instanceof Error ? error.message : error).replaceAll(/\s+/g, " ").slice(0, 300);
    exitWith(`Cannot use the data folder ${settings.STEPWELL_DATA}: ${said}`);
  }
}

/** Sweeps do not overlap: on a slow disk they would pile up. */
let isSweeping = false;
async function sweep(): Promise<void> {
  if (isSweeping) return;
  isSweeping = true;
  await registry.sweep({ idleMs: settings.STEPWELL_IDLE_SECONDS * 1000 }).catch(logFailure);
  isSweeping = false;
}

/** Logs the failure of background work, which must not end the process. */
function logFailure(error: unknown, about: { readonly run?: string } = {}): void {
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  if (!(error instanceof StepwellError)) return logLine({ level: "error", ...about, error: text });
  const { code, message, issues } = error;
  // There is no memory for a copy now. The next attempt may find some.
  const level = code === "out_of_memory" ? "warn" : "error";
  const said = [message, ...issues.map((issue) => issue.message)].join("; ");
  logLine({ level, ...about, code, error: said });
}

function logLine(line: Readonly<Record<string, unknown>>): void {
  log.add({ time: new Date().toISOString(), ...line });
}

async function handle(request: Request, info: Deno.ServeHandlerInfo): Promise<Response> {
  const answer = Promise.resolve(app.fetch(request, info));
  inFlight.add(answer);
  try {
    return await answer;
  } finally {
    inFlight.delete(answer);
  }
}

function urlOf({ hostname, port }: Deno.NetAddr): string {
  return `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

function exitWith(message: string): never {
  console.error(`stepwell: ${message}`);
  Deno.exit(1);
}

/** Refuses new work, lets requests in flight finish until the deadline, and exits with 0. */
async function stop(): Promise<void> {
  if (stopping.signal.aborted) return;
  // First of all: streams of events and requests that wait for a step would never finish by themselves.
  stopping.abort();
  const deadline = new Promise((resolve) => setTimeout(resolve, settings.STEPWELL_SHUTDOWN_SECONDS * 1000));
  await Promise.race([finish().catch(logFailure), deadline]);
  await log.flush();
  Deno.exit(0);
}

/** Requests first: `shutdown` finishes the responses being sent, but cuts off the bodies being received. */
async function finish(): Promise<void> {
  clearInterval(sweeper);
  // A loss may use all the time that is left. Refuse those still running at half time, so that runs can be stored.
  const enough = setTimeout(() => losses.close(), settings.STEPWELL_SHUTDOWN_SECONDS * 1000 / 2);
  await Promise.allSettled(inFlight);
  clearTimeout(enough);
  losses.close();
  await server.shutdown();
  await registry.shutdown();
}
