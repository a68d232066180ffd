/**
 * The lane's parser against llhttp, on heads that are nearly right: what the lane takes, llhttp reads in the same way;
 * what only llhttp takes is of a kind that the lane refuses on purpose. `deno task test:heads [--inputs=N] [--seed=N]`
 * tries many; the default fits a test run.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { StepwellError } from "../../../src/errors.ts";
import { framingOf } from "../../../routes/lane/framing.ts";
import { HeadScan, parseHead } from "../../../routes/lane/head.ts";
import { fuzzOptions } from "./support/fuzz_options.ts";
import { parseWithLlhttp } from "./support/llhttp.ts";
import { randomFrom } from "./support/random.ts";

const { inputs, seed } = fuzzOptions();

const LIMITS = { headBytesMax: 1 << 16, headersMax: 100 };

const METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "get", "FOO", "P OST", ""];
const TARGETS = [
  "/",
  "/v1/runs",
  "/v1/runs/demo/gradients?dry_run=true",
  "*",
  "http://x/a",
  "http://y/a",
  "x:80",
  "/a b",
  "/\xe4",
  "/a#b",
  "//x",
  "/%zz",
  '/"{}|^`<>\\',
  "http://x",
  "http://a@x/",
  "ftp://x/",
];
const VERSIONS = [
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/2.0",
  "HTTP/1.2",
  "http/1.1",
  "HTTP/1.1 ",
  "HTTP/0.9",
  "",
];
const FIELDS = [
  "Host: x",
  "Host: y",
  "Host:",
  "host: X",
  "Content-Length: 5",
  "Content-Length: 5, 5",
  "Content-Length: +5",
  "Content-Length: 05",
  "Content-Length: 0x5",
  "Content-Length: 99999999999999999999",
  "Content-Length:",
  "Content-Length : 5",
  "Content-Length: 5 6",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: Chunked",
  "Transfer-Encoding: chunked, identity",
  "Transfer-Encoding: gzip, chunked",
  "Transfer-Encoding: xchunked",
  "Transfer-Encoding : chunked",
  "Transfer-Encoding:\tchunked",
  "Transfer-Encoding: chunked, chunked",
  "Transfer-Encoding",
  "Transfer-Encoding: identity",
  "Connection: close",
  "Connection: keep-alive",
  "Connection: Upgrade, HTTP2-Settings",
  "Upgrade: h2c",
  "Expect: 100-continue",
  "Accept: */*",
  "User-Agent: a b",
  "X: ",
  "X:",
  "X : a",
  " X: a",
  "\tfolded",
  ": a",
  "X\t: a",
  "X: a\tb",
  "X: \xe4\xff",
  "X: a\0b",
  "X: a\x01b",
  "X: a\x7fb",
  "X y: a",
  "(X): a",
  "X: a\rb",
  "X\xe4: a",
  "X_y: a",
  "X: " + "v".repeat(300),
];
const ENDS = ["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n", "\n\r"];
const SPACES = [" ", " ", " ", " ", " ", " ", "  ", "\t", ""];
const BYTES = '\0\t\n\r !"#%(),-./:;<=>?@A[\\]_z{|}~\x7f\x80\xa0\xff';

function headOf(random: (below: number) => number): string {
  const pick = (list: readonly string[]) => list[random(list.length)]!;
  /** Most heads have one fault, so that no other hides it. */
  const mostly = (list: readonly string[], good: string) => random(4) === 0 ? pick(list) : good;
  let text = random(20) === 0 ? pick(ENDS) : "";
  const end = () => random(12) === 0 ? pick(ENDS) : "\r\n";
  const space = () => random(12) === 0 ? pick(SPACES) : " ";
  text += mostly(METHODS, "POST") + space() + mostly(TARGETS, "/") + space() + mostly(VERSIONS, "HTTP/1.1") +
    end();
  if (random(12) !== 0) text += `Host: x${end()}`;
  for (let count = random(5); count > 0; count--) text += pick(FIELDS) + end();
  text += end();
  if (random(4) !== 0) return text;
  const at = random(text.length + 1), byte = BYTES[random(BYTES.length)]!;
  return text.slice(0, at) + (random(3) === 0 ? "" : byte) + text.slice(at + random(2));
}

/** What the lane makes of a head: undefined if it is not whole, or refused. */
function parse(bytes: Buffer) {
  try {
    const scan = new HeadScan(), end = scan.end(bytes);
    if (end === undefined) return undefined;
    const head = parseHead(bytes.subarray(scan.skipped, end), LIMITS);
    framingOf(head);
    return head;
  } catch (error) {
    assert(error instanceof StepwellError, String(error));
    return undefined;
  }
}

/** Kinds of heads that llhttp takes and the lane refuses. They are told from the text, not by the lane's parser. */
const STRICTER: readonly ((text: string, lines: readonly string[]) => boolean)[] = [
  // A first line that is not a method, a path and a version with a space between: authorities, other hosts than Host,
  // other schemes and versions, fragments, bytes beyond ASCII.
  (_, [first = ""]) => !/^[^ ]+ \/[\x21\x22\x24-\x7e]* HTTP\/1\.[01]$/.test(first),
  // No Host, an empty one, or two.
  (_, lines) =>
    lines.filter((line) => /^host:[ \t]*[^ \t]/i.test(line)).length !== 1 ||
    lines.some((line) => /^host:[ \t]*$/i.test(line)),
  // More than one transfer coding, or another than chunked; in HTTP/1.0, any.
  (_, lines) =>
    lines.some((line) =>
      /^transfer-encoding:/i.test(line) && !/^transfer-encoding:[ \t]*chunked[ \t]*$/i.test(line)
    ),
  (_, lines) => lines.filter((line) => /^transfer-encoding:/i.test(line)).length > 1,
  (text) => /HTTP\/1\.0/.test(text) && /transfer-encoding:/i.test(text),
  // A length without digits, or with more than 2^53.
  (_, lines) => lines.some((line) => /^content-length:[ \t]*(\d{16,})?[ \t]*$/i.test(line)),
  // Before the request, other than one or two empty lines.
  (text) => /^[\r\n]/.test(text) && !/^(\r\n){1,2}[^\r\n]/.test(text),
];

Deno.test("heads are read as llhttp reads them, or refused", () => {
  const random = randomFrom(seed);
  const counts = { both: 0, neither: 0, stricter: 0 };
  for (let input = 0; input < inputs; input++) {
    const text = headOf(random), bytes = Buffer.from(text, "latin1");
    const ours = parse(bytes), theirs = parseWithLlhttp(bytes);
    const said = `${JSON.stringify(text)} (seed ${seed})`;
    if (ours) {
      // llhttp does not know every method, nor a tab behind a length, which RFC 9110, 5.5 allows.
      if (!/^(GET|POST|PUT|DELETE|HEAD|PATCH|OPTIONS)$/.test(ours.method) && !theirs.isHeadDone) continue;
      if (/^content-length:[ \t]*\d+[ \t]*\t/im.test(text) && !theirs.isHeadDone) continue;
      assert.ok(theirs.isHeadDone, `llhttp refuses ${said}`);
      const { method, target, fields } = theirs;
      assert.deepEqual([ours.method, ours.target, ours.fields], [method, target, fields], said);
      counts.both += 1;
    } else if (theirs.isHeadDone) {
      const body = text.replace(/^(\r\n)+/, "").split("\r\n\r\n")[0]!;
      assert.ok(STRICTER.some((isSo) => isSo(text, body.split("\r\n"))), `only llhttp takes ${said}`);
      counts.stricter += 1;
    } else counts.neither += 1;
  }
  // Otherwise nothing was compared.
  for (const count of Object.values(counts)) {
    assert.ok(count > inputs / 50, JSON.stringify(counts));
  }
});
