/** How connections live: order, keep-alive, continuation, hang-ups, deadlines, a graceful end, and many at a time. */
import assert from "node:assert/strict";
import { until } from "../../support/waiting.ts";
import { answersIn, Client, echo, json, openLane } from "./support/lane.ts";

const get = (path: string, ...fields: string[]) =>
  [`GET ${path} HTTP/1.1`, "Host: x", ...fields, "", ""].join("\r\n");
const post = (body: string, ...fields: string[]) =>
  [`POST / HTTP/1.1`, "Host: x", `Content-Length: ${body.length}`, ...fields, "", body].join("\r\n");

/** A handler whose answers the test gives. */
function held() {
  const requests: { request: Request; answer: (response: Response) => void }[] = [];
  const handler = (request: Request) => {
    const { promise, resolve } = Promise.withResolvers<Response>();
    requests.push({ request, answer: resolve });
    return promise;
  };
  return { requests, handler };
}

Deno.test("pipelined requests are answered in order, however long each takes", async () => {
  const begun: string[] = [];
  await using lane = openLane(async (request) => {
    begun.push(request.url);
    if (request.url.endsWith("/0")) await new Promise((resolve) => setTimeout(resolve, 20));
    return await echo(request);
  });
  using client = await Client.connect(lane.port);
  const paths = Array.from({ length: 50 }, (_, index) => `/${index}`);
  await client.send(
    paths.map((path) => get(path)).join("") + post("abc") + get("/last", "Connection: close") + get("/never"),
  );
  const answers = answersIn(await client.rest()).map(({ body }) => JSON.parse(body));
  assert.deepEqual(answers.map(({ path }) => path), [...paths, "/", "/last"]);
  assert.equal(answers.at(-2).body, "abc");
  // One at a time: a request begins when the one before it was answered.
  assert.equal(begun.length, 52);
});

Deno.test("requests that are sent before a half-close are answered", async () => {
  await using lane = openLane(echo);
  using client = await Client.connect(lane.port);
  await client.send(get("/1") + get("/2"));
  await client.closeWrite();
  const answers = answersIn(await client.rest());
  assert.deepEqual(answers.map(({ status, headers }) => [status, headers.get("connection")]), [[
    200,
    undefined,
  ], [200, "close"]]);
});

Deno.test("HTTP/1.0 ends with its answer, unless it asks for more", async () => {
  await using lane = openLane(echo);
  using first = await Client.connect(lane.port);
  await first.send("GET /a HTTP/1.0\r\n\r\n");
  const text = await first.rest();
  assert.match(text, /^HTTP\/1\.0 200 OK\r\n/);
  assert.equal(JSON.parse(answersIn(text)[0]?.body ?? "").url, `http://localhost:${lane.port}/a`);
  using second = await Client.connect(lane.port);
  await second.send("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n");
  assert.deepEqual(answersIn(await second.rest()).map(({ headers }) => headers.get("connection")), [
    "keep-alive",
    "close",
  ]);
});

Deno.test("answers are framed as their requests can read them", async () => {
  const stream = () =>
    ReadableStream.from([new TextEncoder().encode("abc"), new Uint8Array(0), new TextEncoder().encode("de")]);
  const answers: Readonly<Record<string, () => Response>> = {
    "/stream": () => new Response(stream()),
    "/empty-stream": () => new Response(ReadableStream.from([])),
    "/text": () => new Response("é"),
    "/nothing": () => new Response(null),
    "/204": () => new Response(null, { status: 204 }),
    "/304": () => new Response(null, { status: 304, headers: { ETag: '"v1"' } }),
    "/latin": () => new Response(null, { headers: { "X-Name": "\xe4" } }),
  };
  await using lane = openLane((request) => answers[new URL(request.url).pathname]!());
  const ask = async (head: string) => {
    using client = await Client.connect(lane.port);
    await client.send(head);
    const [lines = "", body = ""] = (await client.rest()).split(/\r\n\r\n(.*)/s);
    return {
      framing: lines.split("\r\n").filter((line) => /^(content-length|transfer|x-name)/.test(line)).join(),
      body,
    };
  };
  const close = "Connection: close";
  assert.deepEqual(await ask(get("/stream", close)), {
    framing: "transfer-encoding: chunked",
    body: "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
  });
  assert.deepEqual(await ask("GET /stream HTTP/1.0\r\n\r\n"), { framing: "", body: "abcde" });
  assert.deepEqual(await ask(get("/stream", close).replace("GET", "HEAD")), { framing: "", body: "" });
  assert.deepEqual(await ask(get("/empty-stream", close)), { framing: "content-length: 0", body: "" });
  assert.deepEqual(await ask(get("/text", close)), { framing: "content-length: 2", body: "\xc3\xa9" });
  assert.deepEqual(await ask(get("/nothing", close)), { framing: "content-length: 0", body: "" });
  assert.deepEqual(await ask(get("/204", close)), { framing: "", body: "" });
  assert.deepEqual(await ask(get("/304", close)), { framing: "", body: "" });
  assert.deepEqual(await ask(get("/latin", close)), { framing: "x-name: \xe4,content-length: 0", body: "" });
});

Deno.test("a stream's head, and each of its parts, are sent at once", async () => {
  let stream: ReadableStreamDefaultController<Uint8Array> | undefined;
  await using lane = openLane(() =>
    new Response(new ReadableStream({ start: (each) => void (stream = each) }))
  );
  using client = await Client.connect(lane.port);
  await client.send(get("/"));
  await client.until(/\r\n\r\n/);
  for (const text of ["a", "bc", "def"]) {
    stream?.enqueue(new TextEncoder().encode(text));
    await client.until(new RegExp(`^${text.length}\\r\\n${text}\\r\\n$`));
  }
  stream?.close();
  await client.until(/^0\r\n\r\n$/);
});

Deno.test("an answer that is not as long as it says ends the connection, and is reported", async () => {
  for (const [length, size] of [["5", 3], ["3", 5], ["70000", 3], ["70000", 70_001]] as const) {
    await using lane = openLane(() => {
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(new Uint8Array(size));
          controller.close();
        },
      });
      return new Response(body, { headers: { "Content-Length": length } });
    });
    using client = await Client.connect(lane.port);
    await client.send(get("/1") + get("/2"));
    assert.doesNotMatch(await client.rest(), /HTTP.*HTTP/s);
    await until(() => lane.failures.length === 1);
  }
});

Deno.test("a stream that fails ends the connection without its last chunk", async () => {
  await using lane = openLane(() => {
    const parts = [new TextEncoder().encode("abc"), undefined];
    return new Response(
      new ReadableStream({
        pull(controller) {
          const part = parts.shift();
          if (!part) {
            return new Promise<void>((_, reject) => setTimeout(() => reject(new Error("broken")), 10));
          }
          controller.enqueue(part);
          return undefined;
        },
      }),
    );
  });
  using client = await Client.connect(lane.port);
  await client.send(get("/"));
  assert.match(await client.rest(), /3\r\nabc\r\n$/);
  await until(() => lane.failures.length === 1);
});

Deno.test("100 Continue is sent when the body is wanted, and not when it is there or refused", async () => {
  await using lane = openLane((request) =>
    request.url.endsWith("/no") ? new Response("no", { status: 413 }) : echo(request)
  );
  using patient = await Client.connect(lane.port);
  const expecting = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n`;
  await patient.send(expecting("/"));
  assert.equal(await patient.until(/\r\n\r\n/), "HTTP/1.1 100 Continue\r\n\r\n");
  await patient.send("abc" + get("/next"));
  assert.match(await patient.until(/"body":"abc"\}/), /^HTTP\/1\.1 200/);
  assert.match(await patient.until(/"path":"\/next"/), /^HTTP\/1\.1 200/);
  using hasty = await Client.connect(lane.port);
  await hasty.send(expecting("/") + "abc");
  assert.match(await hasty.until(/"body":"abc"\}/), /^HTTP\/1\.1 200/);
  using refused = await Client.connect(lane.port);
  await refused.send(expecting("/no"));
  const [answer] = answersIn(await refused.rest());
  assert.deepEqual([answer?.status, answer?.headers.get("connection")], [413, "close"]);
});

Deno.test("the rest of a body that nobody wants is dropped, a long one with its connection", async () => {
  await using lane = openLane((request) => new Response(new URL(request.url).pathname));
  using short = await Client.connect(lane.port);
  await short.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + "a".repeat(20_000));
  await short.until(/\/a$/);
  await short.send("a".repeat(40_000) + get("/b"));
  await short.until(/\/b$/);
  using long = await Client.connect(lane.port);
  await long.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n" + "a".repeat(60_000));
  // It can still be read while the client sends on.
  await long.until(/connection: close\r\n.*\/a$/s);
  await long.send("a".repeat(10_000) + get("/b"));
  await long.closeWrite();
  assert.equal(await long.rest(), "");
});

Deno.test("an answer that ends the connection ends it, however much of the body is missing", async () => {
  await using lane = openLane(() =>
    new Response("too slow", { status: 408, headers: { Connection: "close" } })
  );
  for (const length of [10, 100_000]) {
    using client = await Client.connect(lane.port);
    await client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\nabc`);
    assert.match(await client.rest(), /^HTTP\/1\.1 408 [^]*too slow$/);
  }
});

Deno.test("a request is told when its client hangs up, with or without a key", async () => {
  const { requests, handler } = held();
  await using lane = openLane(handler);
  for (const text of [get("/"), post("abc"), get("/", "Idempotency-Key: a")]) {
    const client = await Client.connect(lane.port);
    await client.send(text);
    await until(() => requests.length === 1);
    const { request, answer } = requests.pop()!;
    // As the key's hash makes one.
    const { signal } = text.includes("Key") ? new Request(request) : request;
    assert.equal(signal.aborted, false);
    client[Symbol.dispose]();
    await until(() => signal.aborted);
    answer(new Response("late"));
  }
  assert.deepEqual(lane.failures, []);
});

Deno.test("a signal that is asked for late knows of the hang-up; an answered request never hears of one", async () => {
  const { requests, handler } = held();
  await using lane = openLane(handler);
  using client = await Client.connect(lane.port);
  await client.send(get("/"));
  await until(() => requests.length === 1);
  requests[0]!.answer(new Response("a"));
  await client.until(/\r\n\r\na/);
  await client.send(get("/"));
  await until(() => requests.length === 2);
  await client.closeWrite();
  requests[1]!.answer(new Response("b"));
  await client.rest();
  assert.equal(requests[0]!.request.signal.aborted, false);
  assert.equal(requests[1]!.request.signal.aborted, true);
});

Deno.test("a stream is cancelled when its reader disconnects", async () => {
  let cancelled = 0;
  await using lane = openLane(() =>
    new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(65536)),
        cancel: () => void cancelled++,
      }),
    )
  );
  const client = await Client.connect(lane.port);
  await client.send(get("/"));
  await client.until(/10000\r\n/);
  client[Symbol.dispose]();
  await until(() => cancelled === 1);
  assert.deepEqual(lane.failures, []);
});

Deno.test("a body that is cut off is an error for its reader, whichever its framing", async () => {
  const ends: string[] = [];
  await using lane = openLane((request) =>
    request.bytes().then(() => "whole", () => "cut off").then((end) => (ends.push(end), new Response(end)))
  );
  for (
    const text of [
      "Content-Length: 5\r\n\r\nabc",
      "Content-Length: 100000\r\n\r\nabc",
      "Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ]
  ) {
    using client = await Client.connect(lane.port);
    await client.send(`POST / HTTP/1.1\r\nHost: x\r\n${text}`);
    await client.closeWrite();
    assert.match(await client.rest(), /cut off$/);
  }
  assert.deepEqual(ends, Array(5).fill("cut off"));
});

Deno.test("deadlines: half a head gets 408, silence is closed, work and its answer may take as long as they do", async () => {
  const { requests, handler } = held();
  await using lane = openLane(handler, { STEPWELL_HEAD_SECONDS: 0.6, STEPWELL_KEEP_ALIVE_SECONDS: 0.6 });
  using working = await Client.connect(lane.port);
  await working.send(get("/"));
  await until(() => requests.length === 1);
  using half = await Client.connect(lane.port);
  await half.send("GET / HTTP/1.1\r\nHost: x\r\nA: ");
  using drop = await Client.connect(lane.port);
  await drop.send("G");
  using silent = await Client.connect(lane.port);
  for (const client of [half, drop]) {
    const [answer] = answersIn(await client.rest());
    assert.deepEqual([answer?.status, JSON.parse(answer?.body ?? "").code], [408, "head_timeout"]);
    assert.equal(answer?.headers.get("connection"), "close");
  }
  assert.equal(await silent.rest(), "");
  requests[0]!.answer(new Response("done"));
  await working.until(/done$/);
  assert.equal(await working.rest(), "");
});

Deno.test("a client that takes nothing of its answer is closed", async () => {
  let cancelled = false;
  await using lane = openLane(() =>
    new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(1 << 20)),
        cancel: () => void (cancelled = true),
      }),
    ), { STEPWELL_KEEP_ALIVE_SECONDS: 0.6 });
  using client = await Client.connect(lane.port);
  await client.send(get("/"));
  await until(() => cancelled);
});

Deno.test("heads beyond the limits get 431, those at the limits are taken", async () => {
  await using lane = openLane(echo, { STEPWELL_HEAD_BYTES_MAX: 2048, STEPWELL_HEADERS_MAX: 10 });
  const sized = (bytes: number) => get("/", `A: ${"a".repeat(bytes - get("/", "A: ").length)}`);
  const many = (count: number) =>
    get("/", ...Array.from({ length: count - 1 }, (_, index) => `A${index}: a`));
  for (
    const [text, status] of [
      [sized(2048), 200],
      [sized(2049), 431],
      [sized(5000), 431],
      [sized(5000).slice(0, -4), 431],
      [many(10), 200],
      [many(11), 431],
    ] as const
  ) {
    using client = await Client.connect(lane.port);
    await client.send(text);
    await client.closeWrite();
    const [answer] = answersIn(await client.rest());
    assert.equal(answer?.status, status);
    if (status === 431) assert.equal(JSON.parse(answer.body).code, "head_too_large");
  }
});

Deno.test("the end: new connections are refused, silent ones closed, requests in progress answered", async () => {
  const { requests, handler } = held();
  const lane = openLane(handler);
  using silent = await Client.connect(lane.port);
  using half = await Client.connect(lane.port);
  await half.send("GET / HTT");
  using kept = await Client.connect(lane.port);
  await kept.send(get("/"));
  await until(() => requests.length === 1);
  requests[0]!.answer(new Response("one"));
  await kept.until(/one$/);
  using working = await Client.connect(lane.port);
  await working.send(get("/") + get("/2"));
  await until(() => requests.length === 2);
  const ended = lane.shutdown();
  assert.deepEqual([await silent.rest(), await half.rest(), await kept.rest()], ["", "", ""]);
  await assert.rejects(Client.connect(lane.port));
  requests[1]!.answer(json("two"));
  const answers = answersIn(await working.rest());
  assert.deepEqual(answers.map(({ body, headers }) => [body, headers.get("connection")]), [[
    '"two"',
    "close",
  ]]);
  await ended;
});

Deno.test("a thousand connections are served, and half heads among them harm nobody", async () => {
  await using lane = openLane(echo, { STEPWELL_HEAD_SECONDS: 2 });
  const clients = [];
  try {
    for (let count = 0; count < 1000; count++) clients.push(await Client.connect(lane.port));
    await Promise.all(
      clients.map((client, index) =>
        client.send(index % 2 === 0 ? get(`/${index}`) : "GET / HTTP/1.1\r\nA: ")
      ),
    );
    await Promise.all(clients.map(async (client, index) => {
      const pattern = index % 2 === 0 ? new RegExp(`"path":"/${index}"`) : /^HTTP\/1\.1 408 /;
      await client.until(pattern);
    }));
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
});

Deno.test("a handler that throws gets 500 for its request, and the lane goes on", async () => {
  await using lane = openLane((request) => {
    if (request.url.endsWith("/throw")) throw new Error("secret");
    return echo(request);
  });
  using client = await Client.connect(lane.port);
  await client.send(get("/throw"));
  const text = await client.rest();
  assert.match(text, /^HTTP\/1\.1 500 /);
  assert.doesNotMatch(text, /secret/);
  assert.equal(lane.failures.length, 1);
  using other = await Client.connect(lane.port);
  await other.send(get("/a"));
  await other.until(/"path":"\/a"/);
});

Deno.test("a request for the lane's own address over IPv6 has its client's address", async () => {
  const addresses: string[] = [];
  await using lane = openLane(
    (_, { remoteAddr }) => (addresses.push(remoteAddr.hostname), new Response("")),
    {},
    "::1",
  );
  using client = await Client.connect(lane.port, "::1");
  await client.send(get("/", "Connection: close"));
  await client.rest();
  assert.deepEqual(addresses, ["::1"]);
});
