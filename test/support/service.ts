/** A service in a process of its own, started as `deno task start` does, on a free port. */
import assert from "node:assert/strict";
import { DOORS } from "../routes/support/doors.ts";
import { within } from "./waiting.ts";

const ROOT = new URL("../../", import.meta.url);

export interface RunningService extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly process: Deno.ChildProcess;
  /** From the start of the process to its ready line. */
  readonly readyMs: number;
  /** Stops the service. Returns what it wrote to standard error. */
  readonly stop: (signal?: Deno.Signal) => Promise<{ code: number; errors: string; output: string }>;
}

/** The task's command for a data folder, so that tests run with exactly its permissions and flags. */
/** `readable`: files that it may only read, such as that of the tokens. */
export function startCommand(
  data: string,
  address = "",
  readable: readonly string[] = [],
): readonly string[] {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  const command = (tasks.start.command as string).replaceAll("$(deno task --quiet folders)", "FOLDERS")
    .replace("$(deno task --quiet address)", address).replace("$(deno task --quiet secrets)", "READABLE");
  const [deno, ...args] = command.split(" ");
  assert.equal(deno, "deno");
  // After the split, because a folder's name may contain spaces.
  const files = readable.map((path) => `,${path}`).join("");
  return args.map((argument) => argument.replace("FOLDERS", () => data).replace("READABLE", () => files));
}

/** Default data folders of services, removed when the tests end. */
const scratch = Deno.makeTempDirSync();
let folders = 0;
globalThis.addEventListener("unload", () => Deno.removeSync(scratch, { recursive: true }));

/** `descriptors`: how many files the process may open. */
export function spawn(env: Readonly<Record<string, string>>, descriptors?: number): Deno.ChildProcess {
  const data = env["STEPWELL_DATA"] ?? `${scratch}/${folders++}`;
  const args = startCommand(data, addressOf(env), secretsOf(env));
  const limited = ["-c", `ulimit -n ${descriptors}; exec "$0" "$@"`, Deno.execPath(), ...args];
  return new Deno.Command(descriptors === undefined ? Deno.execPath() : "sh", {
    args: descriptors === undefined ? [...args] : limited,
    cwd: ROOT,
    env: { NO_COLOR: "1", STEPWELL_PORT: "0", STEPWELL_DATA: data, ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** As the task `address` with port 0. */
function addressOf(
  { STEPWELL_HOST: host = "127.0.0.1", STEPWELL_KV: kv = "" }: Readonly<Record<string, string>>,
) {
  return /^https?:/.test(kv) ? "" : `=${host.includes(":") ? `[${host}]` : host}`;
}

/** As the task `secrets`. */
function secretsOf(env: Readonly<Record<string, string>>): readonly string[] {
  return ["TOKENS", "TLS_CERT", "TLS_KEY"].map((name) => env[`STEPWELL_${name}`] ?? "")
    .filter((path) => path !== "");
}

/** Waits for the ready line. */
export async function startProcess(
  env: Readonly<Record<string, string>> = {},
  descriptors?: number,
): Promise<RunningService> {
  const begun = performance.now();
  const process = spawn(env, descriptors);
  const errors = new Response(process.stderr).text();
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let output = "";
  const readLine = async () => {
    while (!output.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`The service did not start: ${await errors}`);
      output += value;
    }
  };
  await within("The service did not become ready", readLine());
  const readyMs = performance.now() - begun;
  const url = /^Stepwell is ready at (https?:\/\/\S+:(\d+))\n$/.exec(output);
  assert.ok(url, output);
  let ending: Promise<{ code: number; errors: string; output: string }> | undefined;
  const end = async () => {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) output += chunk.value;
    return { code: (await process.status).code, errors: await errors, output };
  };
  const stop = (signal: Deno.Signal = "SIGTERM") => {
    try {
      process.kill(signal);
    } catch {
      // The process has ended. Its exit code and output say why.
    }
    return ending ??= within("The service did not end", end());
  };
  return {
    url: url[1] ?? "",
    port: Number(url[2]),
    process,
    readyMs,
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop("SIGKILL");
    },
  };
}

/** Asserts that the service ends with 1 and one line. */
export async function refusesToStart(env: Readonly<Record<string, string>>, pattern: RegExp): Promise<void> {
  const { code, stdout, stderr } = await within("The service did not end", spawn(env).output());
  const errors = new TextDecoder().decode(stderr);
  assert.equal(code, 1, errors);
  assert.equal(stdout.length, 0);
  assert.match(errors, pattern);
  assert.equal(errors.trimEnd().split("\n").length, 1, errors);
}

/** `startProcess` with the server that is being tested. */
export type Start = typeof startProcess;

export function testBothDoors(name: string, run: (start: Start) => Promise<void>): void {
  for (const STEPWELL_HTTP of DOORS) {
    Deno.test(`${name} (${STEPWELL_HTTP})`, () =>
      run((env, descriptors) => startProcess({ ...env, STEPWELL_HTTP }, descriptors)));
  }
}
