/**
 * A client in a thread of its own that asks one service for /healthz again and again, on one connection. It tells the
 * longest wait when it is told to stop.
 *
 * A wait counts as long as the service's main thread was at work in it, where the system tells that: on a busy machine
 * time passes in which the service is not at work, and that is not its fault. And work takes longer there, since caches
 * and cores are shared: how much longer is measured by a piece of work of its own, again and again, whose usual time
 * is compared with its shortest one.
 */
/// <reference lib="deno.worker" />

export interface Asking {
  readonly port: number;
  /** Of the service. */
  readonly pid: number;
}

export interface Waits {
  readonly answers: number;
  /** Milliseconds of work of the service in the wait in which it was longest. */
  readonly worst: number;
  /** The longest wait, in milliseconds. */
  readonly longest: number;
  /** How much longer the same work takes here than at the best moment; 1 on an idle machine. */
  readonly slowness: number;
  /** Connections that the service closed before it answered. */
  readonly lost: number;
}

const PAUSE_MS = 10;

/** Milliseconds that the process's main thread was at work; NaN where that is not known. */
function workOf(pid: number): number {
  try {
    return Number(Deno.readTextFileSync(`/proc/${pid}/task/${pid}/schedstat`).split(" ")[0]) / 1e6;
  } catch {
    return NaN;
  }
}

/** More than the caches hold. */
const memory = new Int32Array(8 << 20);

/** Milliseconds that a piece of work takes, which is always the same: arithmetic, and memory here and there. */
function pace(): number {
  const start = performance.now();
  let x = 1;
  for (let i = 0; i < 100_000; i++) x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) + i | 0;
  for (let i = 0; i < 10_000; i++) {
    x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) + i | 0;
    memory[x & memory.length - 1]! += x;
  }
  return performance.now() - start;
}

const paces = (count: number) => Array.from({ length: count }, pace);

/** Paces of the time in which the service is under attack. */
const measured: number[] = [];

function slownessBeside(best: number): number {
  const sorted = measured.toSorted((a, b) => a - b);
  return Math.max(1, (sorted[sorted.length >> 1] ?? 1) / Math.min(best, sorted[0] ?? 1));
}

let stops = false;
const waits = { answers: 0, worst: 0, longest: 0, lost: 0 };

async function ask({ port, pid }: Asking): Promise<void> {
  const buffer = new Uint8Array(4096);
  const text = new TextEncoder().encode(`GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  while (!stops) {
    using connection = await Deno.connect({ port, hostname: "127.0.0.1" });
    while (!stops) {
      const start = performance.now(), work = workOf(pid);
      await connection.write(text).catch(() => {});
      // A small answer is one piece, or the end of the connection.
      const count = await connection.read(buffer).catch(() => null);
      const passed = performance.now() - start, worked = workOf(pid) - work;
      waits.worst = Math.max(waits.worst, Number.isNaN(worked) ? passed : Math.min(passed, worked));
      waits.longest = Math.max(waits.longest, passed);
      if (!count) {
        waits.lost += 1;
        break;
      }
      if (waits.answers++ === 0) self.postMessage("asking");
      measured.push(...paces(3));
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

self.onmessage = async ({ data }: MessageEvent<Asking | "stop">) => {
  if (data === "stop") {
    stops = true;
    return;
  }
  const best = Math.min(...paces(300));
  await ask(data);
  self.postMessage({ ...waits, slowness: slownessBeside(best) } satisfies Waits);
  self.close();
};
