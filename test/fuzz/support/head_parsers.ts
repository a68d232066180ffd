/** The parsers in front of the app: heads of HTTP/1.1, the file of tokens, globs of run ids. */
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { matchesGlob } from "../../../src/globs.ts";
import { parseTokens, TokenFileError } from "../../../routes/http/token_file.ts";
import { framingOf } from "../../../routes/lane/framing.ts";
import { HeadScan, parseHead } from "../../../routes/lane/head.ts";
import { type Parser, pure } from "./law.ts";
import { cuts, damaged, leaf, piled, repeated, repetitions, seldom, twisted } from "./texts.ts";

const HOST = "Host: localhost\r\n";
/** Requests as they are sent, with their bodies. */
export const REQUESTS: readonly string[] = [
  `GET /healthz HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/runs?limit=1 HTTP/1.1\r\n${HOST}Accept: application/json\r\nConnection: close\r\n\r\n`,
  `POST /v1/runs HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
  `POST /v1/runs HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
  `PUT /v1/runs/x/variables HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n12345`,
  `GET http://localhost/v1/runs HTTP/1.1\r\n${HOST}\r\n`,
  `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`,
  "GET /v1/runs/x/events HTTP/1.0\r\n\r\n",
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
  "Connection: close, ",
];
const ENDS = {
  begins: ["", "GET /", `GET / HTTP/1.1\r\n${HOST}`, "GET / HTTP/1.1\r\nX: "],
  ends: ["\r\n\r\n"],
};

export const LARGE_REQUESTS = repetitions(PIECES, { ...ENDS, count: 4000 });
export const requests = fc.oneof(
  damaged(fc.constantFrom(...REQUESTS)),
  fc.tuple(fc.constantFrom(...REQUESTS), damaged(fc.constantFrom(...REQUESTS))).map((pair) => pair.join("")),
  seldom(piled(PIECES), repeated(PIECES, ENDS), 50),
);

/** A character is a byte. */
export const bytesOf = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0) & 255);

const TOKENS = [
  { sha256: "0123456789abcdef".repeat(4), name: "site-3", scopes: ["read", "contribute"], runs: ["demo-*"] },
  { sha256: "f".repeat(64), name: "all", scopes: ["admin"], runs: ["*"], client_id: "site-3" },
];
const tokenFile = twisted(TOKENS, fc.oneof(leaf, fc.constantFrom("a".repeat(64), "write", ["*"], TOKENS[0])))
  .map((tokens) => JSON.stringify(tokens) ?? "");

const glob = fc.array(fc.constantFrom("*", "?", "a", "b", "aa", "-"), { maxLength: 40 }).map((parts) =>
  parts.join("")
);

export const HEAD_PARSERS: readonly Parser[] = [
  pure({
    name: "heads of HTTP/1.1",
    extremes: LARGE_REQUESTS.map((text) => ({ text, size: 1000 })),
    inputs: fc.record({ text: requests, size: cuts }),
    share: 6,
    read: ({ text, size }) => {
      const bytes = Buffer.from(bytesOf(text)), scan = new HeadScan();
      let end: number | undefined;
      for (let at = size; end === undefined; at += size) {
        end = scan.end(bytes.subarray(0, at));
        if (at >= bytes.length) break;
      }
      if (end === undefined) return "more is to come";
      const head = parseHead(bytes.subarray(scan.skipped, end), { headBytesMax: 1 << 20, headersMax: 100 });
      return [head, framingOf(head)];
    },
  }),
  pure({
    name: "files of tokens",
    inputs: fc.oneof({ weight: 4, arbitrary: tokenFile }, damaged(tokenFile), fc.json()),
    share: 2,
    // One line, which quotes nothing of the file: it may hold a secret at a wrong place.
    isRefusal: (error) => error instanceof TokenFileError && !/\n|0123456789abcdef/.test(error.message),
    read: (text) => parseTokens("tokens.json", text),
  }),
  pure({
    name: "globs of run ids",
    extremes: ["*a".repeat(64), `${"*a".repeat(63)}b`].map((pattern) => ({ pattern, text: "a".repeat(128) })),
    inputs: fc.record({ pattern: glob, text: glob }),
    // Two values, so that the law sees some of both.
    isRefusal: (error) => error instanceof RangeError,
    read: ({ pattern, text }) => {
      if (!matchesGlob(pattern, text)) throw new RangeError("no match");
      return true;
    },
  }),
];
