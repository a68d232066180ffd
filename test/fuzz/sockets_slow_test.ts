/**
 * Bytes on a socket that are nearly HTTP: the service answers or ends the connection, and goes on. `--inputs=N` and
 * `--seed=N` as in parsers_slow_test.ts.
 */
import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import fc from "fast-check";
import { type RunningService, startProcess } from "../support/service.ts";
import { within } from "../support/waiting.ts";
import { damaged, piled, repeated, repetitions, seldom } from "./support/texts.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: { inputs: { type: "string", default: "10000" }, seed: { type: "string" } },
  allowPositionals: true,
});
/** A connection costs as much as many inputs of a parser. */
const runs = Math.ceil(Number(values.inputs) / 20);
const seed = Number(values.seed ?? crypto.getRandomValues(new Int32Array(1))[0]);

const HEALTHY = '{"status":"ok"}';
const HOST = "Host: localhost\r\n";
const GOOD = [
  `GET /healthz HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/runs?limit=1 HTTP/1.1\r\n${HOST}Accept: application/json\r\nConnection: close\r\n\r\n`,
  `POST /v1/runs HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
  `POST /v1/runs HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
  `PUT /v1/runs/x/variables HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n12345`,
  `GET http://localhost/v1/runs HTTP/1.1\r\n${HOST}\r\n`,
  `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/runs/x/events HTTP/1.0\r\n\r\n`,
  `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
];
const PIECES = [
  ...[
    "GET ",
    "POST ",
    "/",
    "/v1/runs",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "\r\n",
    "\n",
    "\r",
    ":",
    " ",
    "\t",
    HOST,
  ],
  ...[
    "Host: [",
    "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\n",
    "0\r\n\r\n",
    "ffff\r\n",
  ],
];
const ENDS = {
  begins: ["", "GET /", `GET / HTTP/1.1\r\n${HOST}`, `GET / HTTP/1.1\r\nX: `],
  ends: ["\r\n\r\n"],
};
const requests = fc.oneof(
  damaged(fc.constantFrom(...GOOD)),
  fc.tuple(fc.constantFrom(...GOOD), damaged(fc.constantFrom(...GOOD))).map((pair) => pair.join("")),
  seldom(piled(PIECES), repeated(PIECES, ENDS), 50),
);

/**
 * What comes back until the connection ends. An incomplete request would be waited for: the sender ends its side once
 * the service has answered others meanwhile.
 */
async function exchange({ port, url }: RunningService, text: string): Promise<string> {
  using socket = await Deno.connect({ port, hostname: "127.0.0.1" });
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0) & 255);
  const received = textUntilEnd(socket);
  // The service may end the connection before it has read everything.
  await writeAll(socket, bytes).catch(() => {});
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

Deno.test(`${runs} connections with bytes that are nearly HTTP end, and the service goes on (seed ${seed})`, async () => {
  await using service = await startProcess({ STEPWELL_LOG: "errors" });
  const statuses = new Set<number>();
  const law = async (text: string) => {
    const answer = await exchange(service, text);
    assert.match(answer, /^(HTTP\/1\.[01] \d{3} |\0\0|$)/);
    for (const [, status] of answer.matchAll(/HTTP\/1\.[01] (\d{3}) /g)) {
      statuses.add(Number(status));
      assert.notEqual(status, "500", answer);
    }
  };
  for (const text of repetitions(PIECES, { ...ENDS, count: 4000 })) await law(text);
  await fc.assert(fc.asyncProperty(requests, law), { numRuns: runs, seed });
  assert.match(await exchange(service, GOOD[0] ?? ""), /^HTTP\/1\.1 200 /);
  assert.ok(statuses.has(200) && statuses.has(400) && statuses.has(421), [...statuses].join());
  const { code, errors } = await service.stop();
  assert.equal(code, 0, errors);
  assert.doesNotMatch(errors, /"level":"error"|error:/, errors.slice(0, 2000));
});
