/**
 * The rival service FastAPI + torch: fastapi_torch/server.py in its own process.
 */
import { findPython } from "./python.ts";

export interface RivalService {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

const READY_TRIES = 300;

/** Starts the rival with one variable of `count` numbers; returns null when no Python can run it. */
export async function startFastapi(count: number): Promise<RivalService | null> {
  const python = await findPython("fastapi", "torch", "uvicorn", "uvloop", "httptools");
  if (python === null) return null;
  const port = freePort();
  const script = new URL("./fastapi_torch/server.py", import.meta.url).pathname;
  const child = new Deno.Command(python, { args: [script, String(count), String(port)] }).spawn();
  await untilListening(port);
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid,
    async stop() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

/** Finds a free port for uvicorn, because uvicorn does not report a port that it chose itself. */
function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < READY_TRIES; attempt += 1) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  throw new Error(`Cannot reach FastAPI: nothing listens on port ${port} after ${READY_TRIES / 10} s`);
}
