/** readBody() on a real socket, with clients that break off. */

import assert from "node:assert/strict";
import { StepwellError } from "../../src/errors.ts";
import { readBody } from "../../src/wire/read_body.ts";
import { until } from "../support/waiting.ts";

/** Serves while `visit` runs. readBody reads every request, and the outcome is recorded. */
async function serving(
  bytesMax: number,
  visit: (port: number, ends: string[]) => Promise<void>,
  onChunk: (chunk: Uint8Array) => void = () => {},
): Promise<void> {
  const ends: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    try {
      ends.push(String(await readBody(request, { bytesMax }, onChunk)));
    } catch (error) {
      ends.push(error instanceof StepwellError ? error.code : String(error));
    }
    return new Response(ends.at(-1)!);
  });
  try {
    await visit(server.addr.port, ends);
  } finally {
    await server.shutdown();
  }
}

/** Sends the parts over a new connection, waits for the response if one is expected, and breaks off. */
async function sendRaw(
  port: number,
  parts: (string | Uint8Array)[],
  { answer = false } = {},
): Promise<string> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    for (const part of parts) {
      const bytes = typeof part === "string" ? new TextEncoder().encode(part) : part;
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    }
    const piece = new Uint8Array(1000);
    let text = "";
    while (answer && !/\r\n\r\n./.test(text)) {
      const bytes = await connection.read(piece);
      if (bytes === null) break;
      text += new TextDecoder().decode(piece.subarray(0, bytes));
    }
    return text;
  } finally {
    connection.close();
  }
}

const head = (headers: string) => `POST / HTTP/1.1\r\nhost: x\r\n${headers}\r\n\r\n`;

Deno.test("readBody() counts bodies small, large and chunked", async () => {
  await serving(50e6, async (port) => {
    for (const length of [0, 1, 65_536, 65_537, 1_000_000, 20_000_000]) {
      const url = `http://127.0.0.1:${port}/`;
      const sized = await fetch(url, { method: "POST", body: new Uint8Array(length) });
      assert.equal(await sized.text(), String(length));
      const chunked = await fetch(url, { method: "POST", body: new Blob([new Uint8Array(length)]).stream() });
      assert.equal(await chunked.text(), String(length));
    }
  });
});

Deno.test("readBody() reads no more from a connection at a time than Deno itself", async () => {
  // After one larger read, every later body that Deno reads from the connection takes several times as long.
  let longest = 0;
  await serving(50e6, async (port) => {
    const url = `http://127.0.0.1:${port}/`;
    await (await fetch(url, { method: "POST", body: new Uint8Array(20_000_000) })).text();
  }, (chunk) => longest = Math.max(longest, chunk.length));
  assert(longest > 1000 && longest <= 64 * 1024, `${longest} bytes at a time`);
});

Deno.test("readBody() throws incomplete_body when the client disconnects", async () => {
  await serving(50e6, async (port, ends) => {
    const cases = [
      [head("content-length: 1000"), new Uint8Array(999)],
      [head("content-length: 1000000"), new Uint8Array(500_000)],
      [head("transfer-encoding: chunked"), "a\r\n0123456789\r\n"],
      [head("content-length: 1000\r\ncontent-encoding: gzip"), Uint8Array.of(0x1f, 0x8b, 8)],
    ];
    for (const parts of cases) {
      const before = ends.length;
      await sendRaw(port, parts);
      await until(() => ends.length > before);
      assert.equal(ends.at(-1), "incomplete_body");
    }
  });
});

Deno.test("readBody() refuses a large body before it is sent", async () => {
  await serving(1000, async (port) => {
    const answer = await sendRaw(port, [head("content-length: 1000000000000")], { answer: true });
    assert.match(answer, /body_too_large$/);
  });
});

Deno.test("readBody() leaves a connection usable after a refusal", async () => {
  await serving(1000, async (port) => {
    const url = `http://127.0.0.1:${port}/`;
    for (let i = 0; i < 5; i++) {
      const refused = await fetch(url, { method: "POST", body: new Uint8Array(2000) });
      assert.equal(await refused.text(), "body_too_large");
      const taken = await fetch(url, { method: "POST", body: new Uint8Array(1000) });
      assert.equal(await taken.text(), "1000");
    }
  });
});
