/** Event streams over sockets whose readers stop reading: they cost bounded memory, and end when the client is gone. */
import assert from "node:assert/strict";
import { until } from "../../support/waiting.ts";
import { startService } from "../support/harness.ts";

/** More events than all buffers between the service and a client on this machine can hold. */
const EVENTS = 60_000;
const PORTION = 250;

Deno.test("a client that stops reading gets a gap when it goes on, and leaves nothing when it hangs up", async () => {
  const service = startService({ STEPWELL_HOSTS: "127.0.0.1" });
  const variables = [{ name: "w", shape: [] }];
  await service.send("POST", "/v1/runs", { body: { id: "demo", optimizer: "SGD", variables } });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, service.app.fetch);
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1 << 16);
  const read = async (client: Deno.TcpConn) =>
    decoder.decode(buffer.subarray(0, await client.read(buffer) ?? 0));
  const open = async () => {
    const client = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
    const head = `GET /v1/runs/demo/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
    await client.write(new TextEncoder().encode(head));
    for (let text = ""; !text.includes("event: state"); text += await read(client));
    return client;
  };
  const [back, gone] = [await open(), await open()];
  const run = await service.registry.open("demo");
  for (let made = 0; made < EVENTS; made += PORTION) {
    for (let count = 0; count < PORTION; count++) run.patchOptimizer({ learning_rate: 1 });
    await new Promise((resolve) => setTimeout(resolve));
  }
  assert.equal(service.streams.open, 2);

  gone.close();
  await until(() => service.streams.open === 1);
  let text = "";
  while (!text.includes("event: gap")) text = text.slice(-100) + await read(back);
  back.close();
  await until(() => service.streams.open === 0);
  await server.shutdown();
});
