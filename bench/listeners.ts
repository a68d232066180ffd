/**
 * Benchmark of event streams: how much more CPU a step takes while 900 clients listen to the run, against a service
 * without listeners.
 */
import type { Benchmark } from "./bench.ts";
import { cpuContender } from "./cpu_contender.ts";
import { gradientValues } from "./data.ts";
import { compare, type CompareOptions } from "./harness.ts";
import { countRow, showUs } from "./row.ts";
import { startBenchedService } from "./service_work.ts";

const LISTENERS = 900;
const COUNT = 1000;
const ROUNDS_MAX = 11;
/** Tens of ticks, so that each burst has its share of them. */
const BURST_MS = 500;

export const listenersBenchmark: Benchmark = {
  name: "listeners",
  async *rows({ compare: options, quick }) {
    const gradient = gradientValues(COUNT, 2);
    const [alone, beside] = [await startBenchedService(gradient), await startBenchedService(gradient)];
    const listeners: Listener[] = [];
    try {
      for (let opened = 0; opened < LISTENERS; opened += 1) listeners.push(await listen(beside.url));
      const bursts: CompareOptions = {
        rounds: Math.min(options.rounds, ROUNDS_MAX),
        burstMs: quick ? BURST_MS / 2 : BURST_MS,
        tries: 1,
      };
      const a = cpuContender("alone", alone.pid, () => alone.step());
      const b = cpuContender("beside listeners", beside.pid, () => beside.step());
      const { oursUs, rivalUs } = await compare(a, b, bursts);
      const gaps = listeners.filter(({ hasGap }) => hasGap()).length;
      if (gaps > 0) throw new Error(`${gaps} of ${LISTENERS} listeners missed events`);
      yield countRow(`a step beside ${LISTENERS} listeners`, "a step alone", {
        figure: (rivalUs - oursUs) / 1000,
        unit: "ms",
        goal: { relation: "≤", value: 1 },
        note: `${showUs(oursUs)} / ${showUs(rivalUs)}; ${(1e6 / b.wallUs()).toFixed(0)} steps/s, no gap`,
      });
    } finally {
      for (const listener of listeners) listener.close();
      await Promise.all([alone.stop(), beside.stop()]);
    }
  },
};

interface Listener {
  hasGap(): boolean;
  close(): void;
}

/** Reads the events of the run over a connection of its own, until it is closed. */
async function listen(url: string): Promise<Listener> {
  const { hostname, port, host } = new URL(url);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const head = `GET /v1/runs/bench/events HTTP/1.1\r\nhost: ${host}\r\naccept: text/event-stream\r\n\r\n`;
  await connection.write(new TextEncoder().encode(head));
  const buffer = new Uint8Array(1 << 16), decoder = new TextDecoder("latin1");
  let hasGap = false, isClosed = false;
  const first = await connection.read(buffer) ?? 0;
  if (!decoder.decode(buffer.subarray(0, first)).startsWith("HTTP/1.1 200")) {
    throw new Error("No stream of events");
  }
  const reading = async () => {
    for (let end = ""; !isClosed;) {
      const count = await connection.read(buffer).catch(() => null);
      if (count === null) return;
      const text = end + decoder.decode(buffer.subarray(0, count));
      hasGap ||= text.includes("event: gap");
      end = text.slice(-10);
    }
  };
  void reading();
  return {
    hasGap: () => hasGap,
    close() {
      isClosed = true;
      connection.close();
    },
  };
}
