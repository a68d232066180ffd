/**
 * Bytes on a socket that are nearly HTTP: the service answers or ends the connection, and goes on. `--inputs=N` and
 * `--seed=N` as in parsers_slow_test.ts.
 */
import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import fc from "fast-check";
import { type RunningService, startProcess } from "../support/service.ts";
import { within } from "../support/waiting.ts";
import { bytesOf, LARGE_REQUESTS, REQUESTS, requests } from "./support/head_parsers.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: { inputs: { type: "string", default: "10000" }, seed: { type: "string" } },
  allowPositionals: true,
});
/** A connection costs as much as many inputs of a parser. */
const runs = Math.ceil(Number(values.inputs) / 20);
const seed = Number(values.seed ?? crypto.getRandomValues(new Int32Array(1))[0]);

const HEALTHY = '{"status":"ok"}';
/**
 * What comes back until the connection ends. An incomplete request would be waited for: the sender ends its side once
 * the service has answered others meanwhile.
 */
async function exchange({ port, url }: RunningService, text: string): Promise<string> {
  using socket = await Deno.connect({ port, hostname: "127.0.0.1" });
  const received = textUntilEnd(socket);
  // The service may end the connection before it has read everything.
  await writeAll(socket, bytesOf(text)).catch(() => {});
  for (let others = 0; others < 3; others++) {
    assert.equal(await (await fetch(`${url}/healthz`)).text(), HEALTHY);
  }
  await socket.closeWrite().catch(() => {});
  return await within(`The connection did not end after ${JSON.stringify(text.slice(0, 500))}`, received);
}

async function writeAll(socket: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}

/** What has come before the end of the connection, or before its reset. */
async function textUntilEnd(socket: Deno.TcpConn): Promise<string> {
  const decoder = new TextDecoder("latin1"), buffer = new Uint8Array(64 << 10);
  let text = "";
  for (;;) {
    const count = await socket.read(buffer).catch(() => null);
    if (!count) return text;
    text += decoder.decode(buffer.subarray(0, count));
  }
}

for (const door of ["deno", "lane"]) {
  Deno.test(`${door}: ${runs} connections with bytes that are nearly HTTP end, and the service goes on (seed ${seed})`, async () => {
    await using service = await startProcess({ STEPWELL_LOG: "errors", STEPWELL_HTTP: door });
    const statuses = new Set<number>();
    const law = async (text: string) => {
      const answer = await exchange(service, text);
      assert.match(answer, /^(HTTP\/1\.[01] \d{3} |\0\0|$)/);
      for (const [, status] of answer.matchAll(/HTTP\/1\.[01] (\d{3}) /g)) {
        statuses.add(Number(status));
        assert.notEqual(status, "500", answer);
      }
    };
    for (const text of LARGE_REQUESTS) await law(text);
    await fc.assert(fc.asyncProperty(requests, law), { numRuns: runs, seed });
    assert.match(await exchange(service, REQUESTS[0] ?? ""), /^HTTP\/1\.1 200 /);
    assert.ok(statuses.has(200) && statuses.has(400) && statuses.has(421), [...statuses].join());
    const { code, errors } = await service.stop();
    assert.equal(code, 0, errors);
    assert.doesNotMatch(errors, /"level":"error"|error:/, errors.slice(0, 2000));
  });
}
