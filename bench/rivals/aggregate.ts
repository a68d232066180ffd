/**
 * The rivals numpy and Flower for aggregation: one Python process per work, which times itself (aggregate/rival.py).
 */
import { type AggregateWork, TURN } from "../aggregate_work.ts";
import type { Contender } from "../harness.ts";
import { findPython } from "./python.ts";

export type RivalWork =
  | "mean_as_they_arrive"
  | "mean_in_place"
  | "weighted_mean_in_place"
  | "median"
  | "flower_mean"
  | "flower_weighted_mean"
  | "flower_trimmed_mean"
  | "flower_krum";

export interface AggregateRival extends Contender {
  result(): Promise<Float32Array>;
  /** Its peak memory so far, without the memory of its imports. */
  peakBytes(): Promise<number>;
  stop(): Promise<void>;
}

/** Null when no Python can import what the work needs. */
export async function startAggregateRival(
  name: RivalWork,
  { base, clients }: AggregateWork,
): Promise<AggregateRival | null> {
  const python = await findPython("numpy", ...name.startsWith("flower") ? ["flwr"] : []);
  if (python === null) return null;
  const folder = await Deno.makeTempDir({ prefix: "stepwell-bench-" });
  await Deno.writeFile(`${folder}/base`, new Uint8Array(base.buffer));
  const script = new URL("./aggregate/rival.py", import.meta.url).pathname;
  const child = new Deno.Command(python, {
    args: [script, name, String(clients), String(TURN), folder],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const answer = async () => {
    let line = "";
    while (!line.endsWith("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error("Cannot go on: aggregate/rival.py has ended");
      line += value;
    }
    return line.trim();
  };
  const order = async (line: string) => {
    await writer.write(new TextEncoder().encode(`${line}\n`));
    return await answer();
  };
  await answer();
  return {
    name,
    cost: async (count) => Number(await order(`run ${count}`)),
    async result() {
      await order("result");
      return new Float32Array((await Deno.readFile(`${folder}/result`)).buffer);
    },
    peakBytes: async () => Number(await order("peak")),
    async stop() {
      await writer.close();
      await child.status;
      await reader.cancel();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
