/**
 * The rival torch for sparse rows: a Python process on one thread that takes commands on its standard input and times
 * itself (torch_sparse.py).
 */
import type { Contender } from "../harness.ts";
import type { SparseWork } from "../sparse_work.ts";
import { findPython } from "./python.ts";

export interface TorchSparse extends Contender {
  touched(): Promise<Float32Array>;
  stop(): Promise<void>;
}

/** Null when no Python can import torch and numpy. */
export async function startTorchSparse(work: SparseWork): Promise<TorchSparse | null> {
  const python = await findPython("torch", "numpy");
  if (python === null) return null;
  const folder = await Deno.makeTempDir({ prefix: "stepwell-bench-" });
  await Deno.writeFile(`${folder}/indices`, new Uint8Array(work.indices.buffer));
  await Deno.writeFile(`${folder}/values`, new Uint8Array(work.values.buffer));
  await Deno.writeFile(`${folder}/initial`, new Uint8Array(work.initial.buffer));
  const script = new URL("./torch_sparse.py", import.meta.url).pathname;
  const sizes = [work.rows, work.width, work.indices.length].map(String);
  const child = new Deno.Command(python, {
    args: [script, ...sizes, folder],
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
      if (done) throw new Error("Cannot go on: torch_sparse.py has ended");
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
    name: "torch",
    cost: async (count) => Number(await order(`run ${count}`)),
    async touched() {
      await order("rows");
      return new Float32Array((await Deno.readFile(`${folder}/touched`)).buffer);
    },
    async stop() {
      await writer.close();
      await child.status;
      await reader.cancel();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
