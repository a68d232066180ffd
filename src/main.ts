/**
 * The composition root. Only this file reads the environment, opens ports, and uses clocks, randomness and signals.
 * It passes them to everything else.
 *
 * Invariants: once the port is open, the process gives up its permission to read the environment. It keeps the one to
 * open this port (the task `start` gives it no other), because the port must be opened again after a want of file
 * descriptors. If the port is closed for good though nobody asked for it, the process ends with EXIT_UNASKED.
 */
import { runCompiled } from "../kernels/compiler/runner.ts";
import { createApp } from "../routes/app.ts";
import { directAnswers } from "../routes/direct.ts";
import type { Services } from "../routes/http/context.ts";
import { Metrics } from "../routes/http/metrics.ts";
import { gatesOf } from "../routes/http/gates.ts";
import { serveLane } from "../routes/lane/lane.ts";
import { recorded } from "../routes/lane/telemetry.ts";
import { TokenFileError } from "../routes/http/token_file.ts";
import { TokenWatch } from "../routes/http/token_watch.ts";
import { Tokens } from "../routes/http/tokens.ts";
import { Losses } from "./autodiff/losses.ts";
import { readSettings, SettingError, type Settings } from "./config.ts";
import { StepwellError } from "./errors.ts";
import { Descriptors } from "./descriptors.ts";
import { LineLog } from "./line_log.ts";
import { OpenPort } from "./open_port.ts";
import { releasable } from "./releasable.ts";
import { Registry } from "./run/registry/registry.ts";
import { KeysInProgress } from "./run/answers/replies.ts";
import { FilePool } from "./store/file_pool.ts";
import { filesOf } from "./store/files.ts";
import { openStore } from "./store/open_store.ts";

const settings = settingsOrExit();
const log = new LineLog(Deno.stderr);
const start = performance.now();
const stopping = new AbortController();

/** How often the file of tokens is looked at. */
const TOKENS_MS = 1000;

/** Tells a supervisor that it should start the service again. */
const EXIT_UNASKED = 70;

const tokens = new Tokens(settings);
const tokenWatch = await tokenWatchOrExit(settings);

const descriptors = new Descriptors(() => Deno.openSync(`${settings.STEPWELL_DATA}/lock`));
const pool = new FilePool({ giveWay: () => descriptors.giveWay() });
const store = await storeOrExit(openStore({
  files: filesOf(pool),
  folder: settings.STEPWELL_DATA,
  kv: settings.STEPWELL_KV,
  newId: () => crypto.randomUUID(),
  notify: (notice) => logLine({ level: "warn", ...notice }),
}));
descriptors.look();
pool.openMax = descriptors.journalsMax;
const registry = await storeOrExit(Registry.open({
  runsMax: settings.STEPWELL_RUNS_MAX,
  memoryBytesMax: settings.STEPWELL_MEMORY_BYTES_MAX,
  stepSecondsMax: settings.STEPWELL_STEP_SECONDS_MAX,
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
/** Of the port, once it is open. */
let address: Deno.NetAddr | undefined;
const losses = new Losses(settings);
const metrics = new Metrics();
const services: Services = {
  settings,
  losses,
  registry,
  creations: new KeysInProgress(),
  wallClock: () => new Date(),
  ...gatesOf({
    ...settings,
    STEPWELL_EVENT_STREAMS_MAX: Math.min(settings.STEPWELL_EVENT_STREAMS_MAX, descriptors.waitingMax),
    STEPWELL_WAITS_MAX: Math.min(settings.STEPWELL_WAITS_MAX, descriptors.waitingMax),
  }),
  metrics,
  tokens,
  ownPort: () => address?.port ?? settings.STEPWELL_PORT,
  now: () => performance.now() - start,
  log: logLine,
  stopping: stopping.signal,
};
const app = createApp(services);
const direct = directAnswers(services, () => crypto.randomUUID());
const inFlight = new Set<Promise<Response>>();
// Before the ready line: its reader may stop the service at once.
Deno.addSignalListener("SIGTERM", () => stop());
Deno.addSignalListener("SIGINT", () => stop());
const port = portOrExit(settings);
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
const tokenReader = tokenWatch && setInterval(() => tokenWatch.refresh(), TOKENS_MS);
const sweeper = setInterval(sweep, settings.STEPWELL_SWEEP_SECONDS * 1000);

function settingsOrExit(): Settings {
  try {
    return readSettings((name) => Deno.env.get(name));
  } catch (error) {
    if (error instanceof SettingError) exitWith(error.message);
    throw error;
  }
}

/** Certificate and key, for TLS. */
function tlsOrExit({ STEPWELL_TLS_CERT: certPath, STEPWELL_TLS_KEY: keyPath }: Settings) {
  if (certPath === "") return undefined;
  try {
    return { cert: Deno.readTextFileSync(certPath), key: Deno.readTextFileSync(keyPath) };
  } catch (error) {
    exitWith(
      `Cannot read STEPWELL_TLS_CERT or STEPWELL_TLS_KEY: ${error instanceof Error ? error.message : error}`,
    );
  }
}

async function tokenWatchOrExit({ STEPWELL_TOKENS: path }: Settings): Promise<TokenWatch | undefined> {
  if (path === "") return undefined;
  const file = { path, stat: () => Deno.stat(path), read: () => Deno.readTextFile(path) };
  try {
    return await TokenWatch.open({ file, tokens, wallClock: () => new Date(), notify: logLine });
  } catch (error) {
    if (error instanceof TokenFileError) exitWith(error.message);
    throw error;
  }
}

function portOrExit({ STEPWELL_HOST: hostname, STEPWELL_PORT: port }: Settings): OpenPort {
  const tls = tlsOrExit(settings);
  const onListen = (opened: Deno.NetAddr) => {
    if (!address) console.log(`Stepwell is ready at ${urlOf(opened)}`);
    address = opened;
  };
  const serve = () => {
    const place = { hostname, port: address?.port ?? port };
    if (settings.STEPWELL_HTTP === "deno") return Deno.serve({ ...place, ...tls, onListen }, handle);
    const parts = {
      settings,
      handler: handle,
      direct,
      wallClock: () => new Date(),
      newId: () => crypto.randomUUID(),
      log: logLine,
      metrics,
      onFailure: logFailure,
    };
    const lane = serveLane({ ...place, tls }, recorded(parts, tls ? "https" : "http"));
    onListen(lane.addr);
    return lane;
  };
  try {
    return new OpenPort({
      serve,
      descriptors,
      onNotice: (notice) => logLine({ level: "warn", notice }),
      onEnd: endUnasked,
    });
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
  descriptors.hold();
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

async function handle(request: Request, info: { readonly remoteAddr: Deno.Addr }): Promise<Response> {
  const answer = Promise.resolve(app.fetch(request, info));
  inFlight.add(answer);
  try {
    return await answer;
  } finally {
    inFlight.delete(answer);
  }
}

function urlOf({ hostname, port }: Deno.NetAddr): string {
  const scheme = settings.STEPWELL_TLS_CERT === "" ? "http" : "https";
  return `${scheme}://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

function exitWith(message: string): never {
  console.error(`stepwell: ${message}`);
  Deno.exit(1);
}

/** Stores what is in memory and ends the process, so that its supervisor starts it again. */
async function endUnasked(error: unknown): Promise<void> {
  logFailure(error);
  await stop(EXIT_UNASKED);
}

/** Refuses new work, lets requests in flight finish until the deadline, and exits. */
async function stop(exitCode = 0): Promise<void> {
  if (stopping.signal.aborted) return;
  // First of all: streams of events and requests that wait for a step would never finish by themselves.
  stopping.abort();
  const deadline = new Promise((resolve) => setTimeout(resolve, settings.STEPWELL_SHUTDOWN_SECONDS * 1000));
  await Promise.race([finish().catch(logFailure), deadline]);
  await log.flush();
  Deno.exit(exitCode);
}

/** Requests first: `shutdown` finishes the responses being sent, but cuts off the bodies being received. */
async function finish(): Promise<void> {
  clearInterval(sweeper);
  clearInterval(tokenReader);
  // A loss may use all the time that is left. Refuse those still running at half time, so that runs can be stored.
  const enough = setTimeout(() => losses.close(), settings.STEPWELL_SHUTDOWN_SECONDS * 1000 / 2);
  await Promise.allSettled(inFlight);
  clearTimeout(enough);
  losses.close();
  await port.shutdown();
  await registry.shutdown();
}
