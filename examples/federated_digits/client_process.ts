/** Runs clients as processes that print a line of JSON for each thing that they have done. */

interface Process<T> {
  /** A program of this folder. */
  readonly script: string;
  readonly args: readonly string[];
  readonly onLine: (line: T) => void;
  /** Ends the process when aborted. */
  readonly signal?: AbortSignal;
}

/** Starts a process. Resolves when it has ended with 0, rejects when it has failed. */
export async function runProcess<T>({ script, args, onLine, signal }: Process<T>): Promise<void> {
  const program = new URL(script, import.meta.url).href;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-net", "--allow-read", "--allow-env", program, ...args],
    stdout: "piped",
    stderr: "inherit",
    ...signal && { signal },
  }).spawn();
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines.filter((each) => each.startsWith("{"))) onLine(JSON.parse(line) as T);
  }
  const { code } = await child.status;
  if (code !== 0) throw new Error(`Cannot go on: ${script} ${args.join(" ")} ended with ${code}`);
}
