/**
 * A Stepwell service as a child process: started as `deno task start` does, on a free port of the loopback
 * interface, and ended with the program that started it.
 */
export interface ServiceProcess {
  readonly url: string;
  readonly pid: number;
  /** Sends SIGTERM and waits for the end. */
  stop(): Promise<void>;
}

const ROOT = new URL("../", import.meta.url);

/**
 * Starts a service, and resolves when it is ready. `env` adds settings (see the README's table). Without
 * STEPWELL_DATA the data folder is a temporary one, which is deleted when the service stops.
 */
export async function startService(env: Record<string, string> = {}): Promise<ServiceProcess> {
  const data = env["STEPWELL_DATA"] ?? await Deno.makeTempDir();
  const [deno, ...args] = await startCommand(data);
  const child = new Deno.Command(deno === "deno" ? Deno.execPath() : deno, {
    args,
    cwd: ROOT,
    env: { STEPWELL_PORT: "0", STEPWELL_LOG: "errors", STEPWELL_DATA: data, ...env },
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "", url: string | undefined;
  while (url === undefined) {
    const { value, done } = await lines.read();
    if (done) {
      throw new Error(`Cannot start the service: it ended with ${(await child.status).code}. ${said}`);
    }
    said += value;
    url = /https?:\/\/[^\s"]+/.exec(said)?.[0];
  }
  // Its further output is read and dropped: a full pipe would block it.
  const drained = (async () => {
    while (!(await lines.read()).done);
  })();
  return {
    url,
    pid: child.pid,
    async stop() {
      child.kill("SIGTERM");
      await child.status;
      await drained;
      if (!("STEPWELL_DATA" in env)) await Deno.remove(data, { recursive: true });
    },
  };
}

/** The command of the task `start`. It is run directly, so that the child's process id is the service's. */
async function startCommand(data: string): Promise<[string, ...string[]]> {
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT))) as {
    tasks: { start: { command: string } };
  };
  const [first = "deno", ...rest] = config.tasks.start.command.replaceAll(
    "$(deno task --quiet folders)",
    data,
  )
    .replace("$(deno task --quiet address)", "")
    .replace("$(deno task --quiet secrets)", "")
    .split(/\s+/);
  return [first, ...rest];
}
