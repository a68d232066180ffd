/** Requests that two servers could read in two ways: each is refused, and what follows it is never a request. */
import assert from "node:assert/strict";
import { answersIn, Client, echo, openLane } from "./support/lane.ts";

const SECOND = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
const chunked = (fields: string, body = "0\r\n\r\n") =>
  `POST / HTTP/1.1\r\nHost: x\r\n${fields}\r\n\r\n${body}`;

const REFUSED: Readonly<Record<string, string>> = {
  "length and chunks": chunked("Content-Length: 5\r\nTransfer-Encoding: chunked"),
  "chunks and length": chunked("Transfer-Encoding: chunked\r\nContent-Length: 5"),
  "two lengths": chunked("Content-Length: 5\r\nContent-Length: 6"),
  "one length twice": chunked("Content-Length: 5\r\nContent-Length: 5"),
  "a list of lengths": chunked("Content-Length: 5, 5"),
  "a length with a sign": chunked("Content-Length: +5"),
  "a negative length": chunked("Content-Length: -1"),
  "a hexadecimal length": chunked("Content-Length: 0x5"),
  "a length of no digits": chunked("Content-Length:"),
  "a length beyond 2^53": chunked("Content-Length: 9007199254740993"),
  "a space before the colon of a length": chunked("Content-Length : 5"),
  "a space before the colon of an encoding": chunked("Transfer-Encoding : chunked"),
  "a tab before a colon": chunked("Transfer-Encoding\t: chunked"),
  "an unknown encoding": chunked("Transfer-Encoding: xchunked"),
  "chunked not last": chunked("Transfer-Encoding: chunked, identity"),
  "chunked twice": chunked("Transfer-Encoding: chunked, chunked"),
  "chunked in two headers": chunked("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
  "gzip before chunked": chunked("Transfer-Encoding: gzip, chunked"),
  "identity": chunked("Transfer-Encoding: identity"),
  "an encoding with a vertical tab": chunked("Transfer-Encoding: \x0bchunked"),
  "an encoding in HTTP/1.0": "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "a folded header": chunked("Transfer-Encoding:\r\n chunked"),
  "a head that begins with a folded header": "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
  "a bare LF after the first line": "GET / HTTP/1.1\nHost: x\r\n\r\n",
  "a bare LF after a header": "GET / HTTP/1.1\r\nHost: x\nContent-Length: 3\r\n\r\n",
  "a bare LF as the end": "GET / HTTP/1.1\r\nHost: x\r\n\n",
  "a bare CR in a value": chunked("X: a\rTransfer-Encoding: chunked"),
  "a NUL in a value": chunked("X: a\0b"),
  "a NUL in a name": chunked("X\0: a"),
  "a control character in a value": chunked("X: a\x01b"),
  "a delete character in a value": chunked("X: a\x7fb"),
  "a name with a space": chunked("Content Length: 5"),
  "a line without a colon": chunked("Transfer-Encoding"),
  "a header without a name": chunked(": chunked"),
  "no Host": "GET / HTTP/1.1\r\n\r\n",
  "an empty Host": "GET / HTTP/1.1\r\nHost:\r\n\r\n",
  "two Hosts": "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
  "a target of another host": "GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n",
  "a target with a user": "GET http://a@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
  "a target of another scheme": "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
  "an authority as the target": "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
  "a fragment": "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
  "a target with a space": "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
  "two spaces": "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
  "a tab in the first line": "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
  "no version": "GET /\r\nHost: x\r\n\r\n",
  "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "a version in small letters": "GET / http/1.1\r\nHost: x\r\n\r\n",
  "many empty lines first": "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
  "a start of TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
};

for (const [what, text] of Object.entries(REFUSED)) {
  Deno.test(`the lane refuses ${what}, and closes`, async () => {
    await using lane = openLane(echo);
    using client = await Client.connect(lane.port);
    await client.send(text + SECOND);
    const answers = answersIn(await client.rest());
    assert.deepEqual(answers.map(({ status }) => status), [400]);
    const [{ headers, body }] = answers as [typeof answers[0] & object];
    assert.equal(headers.get("connection"), "close");
    assert.equal(headers.get("content-type"), "application/problem+json");
    assert.equal(JSON.parse(body).code, "malformed_request");
    assert.equal(JSON.parse(body).request_id, headers.get("x-request-id"));
    assert.deepEqual(lane.lines.map(({ code }) => code), ["malformed_request"]);
    assert.deepEqual(lane.failures, []);
  });
}

/** Chunked bodies that break their framing: the app is told that the body is cut off. */
const BROKEN: Readonly<Record<string, string>> = {
  "a size that is no number": "x\r\nabc\r\n0\r\n\r\n",
  "a size with 0x": "0x3\r\nabc\r\n0\r\n\r\n",
  "a negative size": "-3\r\nabc\r\n0\r\n\r\n",
  "a size with a sign": "+3\r\nabc\r\n0\r\n\r\n",
  "an empty size": "\r\nabc\r\n0\r\n\r\n",
  "a size beyond 2^53": "fffffffffffffff\r\nabc\r\n0\r\n\r\n",
  "a size with a space before it": " 3\r\nabc\r\n0\r\n\r\n",
  "a size with a blank behind it": "3 \r\nabc\r\n0\r\n\r\n",
  "a blank before an extension": "3 ;a\r\nabc\r\n0\r\n\r\n",
  "an extension without a name": "3;\r\nabc\r\n0\r\n\r\n",
  "an extension whose quotes stay open": '3;a="b\r\nabc\r\n0\r\n\r\n',
  "a length among the trailers": "3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n",
  "an encoding among the trailers": "3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
  "a bare LF after the size": "3\nabc\r\n0\r\n\r\n",
  "a bare LF after the data": "3\r\nabc\n0\r\n\r\n",
  "data longer than its size": "3\r\nabcd\r\n0\r\n\r\n",
  "data shorter than its size": "5\r\nabc\r\n0\r\n\r\n",
  "a control character in an extension": "3;a\x01\r\nabc\r\n0\r\n\r\n",
  "a bare CR in an extension": "3;a\rb\r\nabc\r\n0\r\n\r\n",
  "a long extension": `3;${"a".repeat(20_000)}\r\nabc\r\n0\r\n\r\n`,
  "many extensions": `1;${"a".repeat(5_000)}\r\na\r\n`.repeat(4) + "0\r\n\r\n",
  "a trailer that is no header": "3\r\nabc\r\n0\r\nno colon\r\n\r\n",
  "a bare LF as the end": "3\r\nabc\r\n0\r\n\n",
  "many trailers": `3\r\nabc\r\n0\r\n${"a: b\r\n".repeat(101)}\r\n`,
  "a long trailer": `3\r\nabc\r\n0\r\na: ${"b".repeat(66_000)}\r\n\r\n`,
};

for (const [what, body] of Object.entries(BROKEN)) {
  Deno.test(`a chunked body with ${what} is broken, and the connection closes`, async () => {
    await using lane = openLane((request) =>
      request.text().then(() => new Response("whole"), () => new Response(null, { status: 400 }))
    );
    using client = await Client.connect(lane.port);
    await client.send(chunked("Transfer-Encoding: chunked", body) + SECOND);
    const answers = answersIn(await client.rest());
    assert.deepEqual(answers.map(({ status }) => status), [400]);
    assert.equal(answers[0]?.headers.get("connection"), "close");
  });
}

const TAKEN: Readonly<Record<string, [text: string, expected: Readonly<Record<string, unknown>>]>> = {
  "chunks with extensions and trailers": [
    chunked("Transfer-Encoding: CHUNKED", '3;a=b\r\nabc\r\n02;c="d;\\"";e\r\nde\r\n0;e\r\nX-Sum: 1\r\n\r\n'),
    { body: "abcde" },
  ],
  "sizes in either case, with zeros before": [
    chunked("Transfer-Encoding: chunked", "000A\r\n0123456789\r\na\r\n0123456789\r\n0000\r\n\r\n"),
    { body: "01234567890123456789" },
  ],
  "a length with zeros before": [chunked("Content-Length: 003", "abc"), { body: "abc" }],
  "a target of this host": ["GET http://X/a?b HTTP/1.1\r\nHost: x\r\n\r\n", {
    path: "/a?b",
    url: "http://X/a?b",
  }],
  "a target of this host without a path": ["GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", { path: "/" }],
  "two empty lines first": ["\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n", { path: "/a" }],
  "an upgrade, which is ignored": [
    chunked(
      "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nContent-Length: 3",
      "abc",
    ),
    { body: "abc" },
  ],
  "a body of a GET, which is dropped": ["GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", {
    path: "/a",
  }],
  "dots in a path, to the letter": ["GET /a/../b/%2e HTTP/1.1\r\nHost: x\r\n\r\n", { path: "/a/../b/%2e" }],
  "a method in small letters": ["get / HTTP/1.1\r\nHost: x\r\n\r\n", { method: "get" }],
  "a method that nobody knows": ["FOO / HTTP/1.1\r\nHost: x\r\n\r\n", { method: "FOO" }],
  "TRACE, which fetch would refuse": ["TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", { method: "TRACE" }],
  "OPTIONS of the whole server": ["OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", { method: "OPTIONS", path: "/*" }],
};

for (const [what, [text, expected]] of Object.entries(TAKEN)) {
  Deno.test(`the lane takes ${what}, in pieces too, and the next request`, async () => {
    await using lane = openLane(echo);
    const all = text + SECOND.replace("Host", "Connection: close\r\nHost");
    for (const size of [all.length, 1, 7]) {
      using client = await Client.connect(lane.port);
      for (let at = 0; at < all.length; at += size) await client.send(all.slice(at, at + size));
      const answers = answersIn(await client.rest());
      assert.deepEqual(answers.map(({ status }) => status), [200, 200], JSON.stringify(answers));
      const [first, second] = answers.map(({ body }) => JSON.parse(body));
      assert.deepEqual({ ...first, ...expected }, first);
      assert.equal(second.path, "/smuggled");
    }
  });
}
