/** Tests that need a real socket: bodies cut off, slow, too long or unread, and readers that see whole versions. */
import assert from "node:assert/strict";
import type { Settings } from "../../../src/config.ts";
import { type Door, DOORS, openDoor } from "../support/doors.ts";
import { until } from "../../support/waiting.ts";
import {
  assertProblem,
  f32,
  file,
  FILE_TYPE,
  GRADIENTS,
  readFile,
  type Service,
  startRun,
  startService,
  stateOf,
} from "../support/harness.ts";

interface Served extends AsyncDisposable {
  readonly service: Service;
  readonly port: number;
  readonly url: string;
}

async function serve(door: Door, settings: Partial<Settings> = {}): Promise<Served> {
  // The run is created before the bounds apply: they are for the test's own bodies.
  const unbounded = startService();
  await startRun(unbounded);
  const service = startService(settings, {
    registry: unbounded.registry,
    ownPort: (): number => opened.port,
  });
  const opened = openDoor(door, service.app, service);
  const { port } = opened;
  return { ...opened, service, url: `http://127.0.0.1:${port}` };
}

type Serve = (settings?: Partial<Settings>) => Promise<Served>;

function testBothDoors(name: string, run: (serve: Serve) => Promise<void>): void {
  for (const door of DOORS) Deno.test(`${name} (${door})`, () => run((settings) => serve(door, settings)));
}

/** Sends text and, by default, half-closes. Returns the status and the body of the answer. */
async function raw(port: number, parts: readonly string[], { close = true } = {}): Promise<Response> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  for (const part of parts) {
    let bytes: Uint8Array = new TextEncoder().encode(part);
    while (bytes.length > 0) bytes = bytes.subarray(await connection.write(bytes));
  }
  if (close) await connection.closeWrite();
  let text = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    const length = /content-length: (\d+)/i.exec(text)?.[1];
    const end = text.indexOf("\r\n\r\n") + 4;
    if (end > 3 && length !== undefined && text.length - end >= Number(length)) break;
  }
  const [head = "", body] = text.split("\r\n\r\n");
  const [status = "", ...lines] = head.split("\r\n");
  const headers = lines.map((line) => line.split(": ") as [string, string]);
  return new Response(body ?? "", { status: Number(status.split(" ")[1]), headers });
}

const head = (path: string, ...headers: string[]) =>
  [`POST ${path} HTTP/1.1`, "Host: localhost", ...headers, "", ""].join("\r\n");
const STEP = "/v1/runs/demo/gradients";
const JSON_TYPE = "Content-Type: application/json";
const BINARY_TYPE = `Content-Type: ${FILE_TYPE}`;
const JSON_BODY = JSON.stringify({ gradients: GRADIENTS });

testBothDoors("a body cut off by its connection changes nothing and leaves nothing behind", async (serve) => {
  await using served = await serve();
  const { service, port } = served;
  const before = await stateOf(service);
  const large = file({ bias: f32([3], [1, 2, 3]) });
  for (
    const [type, body] of [[JSON_TYPE, new TextEncoder().encode(JSON_BODY)], [BINARY_TYPE, large]] as const
  ) {
    for (const length of [0, 1, body.length - 1]) {
      const seen = service.lines.length;
      using connection = await Deno.connect({ hostname: "127.0.0.1", port });
      await connection.write(new TextEncoder().encode(head(STEP, type, `Content-Length: ${body.length}`)));
      await connection.write(body.subarray(0, length));
      await until(() => service.uploads.open === 1);
      connection.close();
      await until(() => service.lines.length > seen && service.uploads.open === 0);
      assert.equal(service.lines.slice(seen).find((line) => line["route"])?.["code"], "incomplete_body");
    }
  }
  assert.equal(service.registry.figures().stagingBytes, 0);
  assert.equal(await stateOf(service), before);
});

testBothDoors("chunked bodies in pieces of any length give the same step", async (serve) => {
  await using served = await serve();
  const { service, port } = served;
  const versions = [];
  for (const size of [1, 7, 1000]) {
    const chunks = [];
    for (let at = 0; at < JSON_BODY.length; at += size) {
      const piece = JSON_BODY.slice(at, at + size);
      chunks.push(`${piece.length.toString(16)}\r\n${piece}\r\n`);
    }
    const response = await raw(port, [
      head(STEP, JSON_TYPE, "Transfer-Encoding: chunked"),
      ...chunks,
      "0\r\n\r\n",
    ], { close: false });
    versions.push((await response.json()).version);
  }
  assert.deepEqual(versions, [2, 3, 4]);
  assert.equal(service.uploads.open, 0);
});

testBothDoors("a body larger than the run accepts is refused before it is read", async (serve) => {
  await using served = await serve();
  const response = await raw(served.port, [
    head(STEP, BINARY_TYPE, "Content-Length: 1000000000"),
  ], { close: false });
  await assertProblem(response, "body_too_large", 413);
});

testBothDoors("an invalid Content-Length, or two of them, is refused", async (serve) => {
  await using served = await serve();
  const before = await stateOf(served.service);
  for (
    const lengths of [["Content-Length: -1"], ["Content-Length: 1e3"], [
      "Content-Length: 5",
      "Content-Length: 6",
    ]]
  ) {
    const response = await raw(served.port, [head(STEP, JSON_TYPE, ...lengths), JSON_BODY]);
    assert.equal(response.status, 400);
  }
  assert.equal(await stateOf(served.service), before);
});

testBothDoors("a body that arrives too slowly is refused with body_timeout", async (serve) => {
  await using served = await serve({ STEPWELL_UPLOAD_SECONDS: 0.2 });
  const { service, port } = served;
  for (const [type, length] of [[JSON_TYPE, 100], [BINARY_TYPE, 1_000_000]] as const) {
    const response = await raw(port, [head(STEP, type, `Content-Length: ${length}`), "{"], { close: false });
    await assertProblem(response, "body_timeout", 408);
  }
  assert.equal(service.uploads.open, 0);
  assert.equal(service.registry.figures().stagingBytes, 0);
});

/** A request of which the head was sent. `end` sends the body. */
async function slowBody({ service, port }: Served): Promise<Disposable & { end: () => Promise<unknown> }> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const send = (text: string) => connection.write(new TextEncoder().encode(text));
  await send(head(STEP, JSON_TYPE, `Content-Length: ${JSON_BODY.length}`));
  await until(() => service.uploads.open === 1);
  return { end: () => send(JSON_BODY), [Symbol.dispose]: () => connection.close() };
}

const postStep = (url: string) =>
  fetch(url + STEP, { method: "POST", body: JSON_BODY, headers: { "Content-Type": "application/json" } });

testBothDoors(
  "bodies over the bound wait unread until there is room, and reads are still served",
  async (serve) => {
    await using served = await serve({ STEPWELL_UPLOADS_MAX: 1, STEPWELL_UPLOAD_WAIT_SECONDS: 1000 });
    const { service, url } = served;
    using slow = await slowBody(served);
    const patient = postStep(url);
    await until(() => service.uploads.waiting === 1);
    assert.equal((await (await fetch(`${url}/v1/runs/demo`)).json()).version, 1);
    assert.equal(service.uploads.waiting, 1);
    await slow.end();
    const answer = await patient;
    assert.equal((await answer.json()).version, 3);
  },
);

testBothDoors(
  "a body without room in time gets 503 with Retry-After, and a later one makes its step",
  async (serve) => {
    await using served = await serve({ STEPWELL_UPLOADS_MAX: 1, STEPWELL_UPLOAD_WAIT_SECONDS: 0.2 });
    const { service, url } = served;
    using slow = await slowBody(served);
    const response = await postStep(url);
    assert.equal(response.headers.get("Retry-After"), "1");
    await assertProblem(response, "busy", 503);
    assert.deepEqual([service.uploads.open, service.uploads.waiting], [1, 0]);
    await slow.end();
    await until(() => service.uploads.open === 0);
    const answer = await postStep(url);
    assert.equal((await answer.json()).version, 3);
  },
);

testBothDoors(
  "encoded bodies make the same step as plain ones, and decompression bombs are stopped",
  async (serve) => {
    await using served = await serve();
    const { service, url } = served;
    const send = (encoding: "gzip" | "deflate", text: string) =>
      fetch(url + STEP, {
        method: "POST",
        body: new Blob([text]).stream().pipeThrough(new CompressionStream(encoding)),
        headers: { "Content-Type": "application/json", "Content-Encoding": encoding },
      });
    assert.equal((await (await send("gzip", JSON_BODY)).json()).version, 2);
    assert.equal((await (await send("deflate", JSON_BODY)).json()).version, 3);
    const before = await stateOf(service);
    await assertProblem(await send("gzip", " ".repeat(50_000_000)), "body_too_large", 413);
    assert.equal(await stateOf(service), before);
  },
);

testBothDoors(
  "a reader gets one whole version, however slow it is and whatever steps are made meanwhile",
  async (serve) => {
    await using served = await serve();
    const { service, url } = served;
    const count = 3_000_000;
    const variables = [{ name: "w", shape: [count] }];
    await service.send("POST", "/v1/runs", {
      body: { id: "large", optimizer: { class_name: "SGD", config: { learning_rate: -1 } }, variables },
    });
    const ones = file({ w: f32([count], new Float32Array(count).fill(1)) });
    const step = async () => {
      const response = await fetch(`${url}/v1/runs/large/gradients`, {
        method: "POST",
        body: ones,
        headers: { "Content-Type": FILE_TYPE },
      });
      assert.equal(response.status, 200, await response.text());
    };
    await step();
    const readers = [];
    for (let version = 1; version <= 3; version++) {
      const response = await fetch(`${url}/v1/runs/large/variables`, { headers: { Accept: FILE_TYPE } });
      assert.equal(response.headers.get("ETag"), `"v${version}"`);
      readers.push(response);
      await step();
    }
    for (const [index, response] of readers.entries()) {
      const { metadata, values } = readFile(await response.bytes());
      assert.equal(metadata["version"], String(index + 1));
      assert.ok(values["w"]?.every((value) => value === index + 1), `version ${index + 1} is torn`);
    }
    await until(() => service.registry.figures().publishedBytes === 0);
  },
);

testBothDoors("a reader that disconnects releases its copy", async (serve) => {
  await using served = await serve();
  const { service, url } = served;
  const variables = [{ name: "w", shape: [5_000_000] }];
  await service.send("POST", "/v1/runs", { body: { id: "large", optimizer: "SGD", variables } });
  const response = await fetch(`${url}/v1/runs/large/variables`, { headers: { Accept: FILE_TYPE } });
  const reader = response.body?.getReader();
  await reader?.read();
  assert.equal(service.registry.figures().publishedBytes, 20_000_000);
  await reader?.cancel();
  await service.send("DELETE", "/v1/runs/large");
  await until(() => service.registry.figures().publishedBytes === 0);
});
