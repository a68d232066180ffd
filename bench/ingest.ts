/**
 * Benchmark of receiving 40 MB of gradients over HTTP into a service's arena: received, decoded, summed and checked,
 * but not applied (a dry run). The rival is a process that reads the same bytes from a TCP connection and drops them.
 * This process is the client of both.
 */
import type { Benchmark } from "./bench.ts";
import { gradientValues } from "./data.ts";
import { compare, timedAsync } from "./harness.ts";
import { ratioRow } from "./row.ts";
import { startBenchedService } from "./service_work.ts";

const COUNT = 10_000_000;

export const ingestBenchmark: Benchmark = {
  name: "ingest",
  async *rows({ compare: options }) {
    const gradient = gradientValues(COUNT, 2);
    const service = await startBenchedService(gradient);
    const raw = await startRawTcp(new Uint8Array(gradient.buffer));
    try {
      const comparison = await compare(
        timedAsync("stepwell", () => service.step({ dryRun: true })),
        timedAsync("raw TCP", raw.send),
        options,
      );
      yield ratioRow("40 MB over HTTP into the arena", "raw TCP read", comparison, {
        goal: { relation: "≤", value: 1.2 },
        as: "cost",
      });
    } finally {
      await Promise.all([service.stop(), raw.stop()]);
    }
  },
};

async function startRawTcp(bytes: Uint8Array): Promise<{ send(): Promise<void>; stop(): Promise<void> }> {
  const script = new URL("./rivals/raw_tcp.ts", import.meta.url).href;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-net", script, String(bytes.length)],
    stdout: "piped",
  }).spawn();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value: port } = await output.read();
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  connection.setNoDelay(true);
  const answer = new Uint8Array(1);
  return {
    async send() {
      for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
      if (await connection.read(answer) === null) throw new Error("Cannot go on: raw_tcp.ts has ended");
    },
    async stop() {
      connection.close();
      await output.cancel();
      await child.status;
    },
  };
}
