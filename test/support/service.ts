/** A service in a process of its own, started as `deno task start` does, on a free port. */
import assert from "node:assert/strict";
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
export function startCommand(data: string): readonly string[] {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  const command = (tasks.start.command as string).replaceAll("$(deno task --quiet folders)", "FOLDERS");
  const [deno, ...args] = command.split(" ");
  assert.equal(deno, "deno");
  // After the split, because a folder's name may contain spaces.
  return args.map((argument) => argument.replace("FOLDERS", () => data));
}

/** Default data folders of services, removed when the tests end. */
const scratch = Deno.makeTempDirSync();
let folders = 0;
globalThis.addEventListener("unload", () => Deno.removeSync(scratch, { recursive: true }));

export function spawn(env: Readonly<Record<string, string>>): Deno.ChildProcess {
  const data = env["STEPWELL_DATA"] ?? `${scratch}/${folders++}`;
  return new Deno.Command(Deno.execPath(), {
    args: [...startCommand(data)],
    cwd: ROOT,
    env: { NO_COLOR: "1", STEPWELL_PORT: "0", STEPWELL_DATA: data, ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Waits for the ready line. */
export async function startProcess(env: Readonly<Record<string, string>> = {}): Promise<RunningService> {
  const begun = performance.now();
  const process = spawn(env);
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
  const url = /^Stepwell is ready at (http:\/\/\S+:(\d+))\n$/.exec(output);
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
