/**
 * Chunked bodies that are nearly right, against llhttp: what the lane takes, llhttp reads as the same bytes and ends at
 * the same place; what only llhttp takes is of a kind that the lane refuses on purpose. However the bytes are cut into
 * pieces, the outcome is the same. `deno task test:heads [--inputs=N] [--seed=N]` tries many.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { StepwellError } from "../../../src/errors.ts";
import { Inbox } from "../../../routes/lane/inbox.ts";
import { IncomingBody } from "../../../routes/lane/incoming_body.ts";
import { fuzzOptions } from "./support/fuzz_options.ts";
import { parseWithLlhttp } from "./support/llhttp.ts";
import { randomFrom } from "./support/random.ts";

const { inputs, seed } = fuzzOptions();

const LIMITS = { headBytesMax: 1 << 12, headersMax: 10 };
const HEAD = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
/** Of the next request: nothing of it may be taken. */
const NEXT = "GET /next HTTP/1.1\r\n";

const SIZES = [
  "0x3",
  "-3",
  "+3",
  "",
  " 3",
  "3 ",
  "3\t",
  "3 3",
  "g",
  "3g",
  "0003",
  "10000000000000000",
  "fffffffffffffffff",
  "20000000000000",
  "00000000000000000003",
  "3.",
  "3\0",
  "\xe4",
];
const EXTENSIONS = [
  ";",
  ";a",
  ";a=b",
  ';a="b"',
  ';a="b\\"c"',
  ' ; a = "b;c"',
  "\t;a",
  ";a\x01",
  ";a\rb",
  ';a="\n"',
  ";;",
  ";=",
  ";a=b;c=d",
  ";\xe4",
  ';"',
  "; ",
  " a",
  "," + "a",
];
const TRAILERS = [
  "X: 1",
  "X:",
  "X : 1",
  "no colon",
  " folded",
  "X: \x01",
  "X: a\rb",
  "Content-Length: 5",
  ": a",
];
const ENDS = ["\n", "\r", "\r\r\n", "\n\r", "", "\r\n\r\n", " \r\n"];
const BYTES = '\0\t\n\r !"#%()+,-./0123:;<=>?@A[\\]_z{|}~\x7f\x80\xff';

function bodyOf(random: (below: number) => number): string {
  const pick = (list: readonly string[]) => list[random(list.length)]!;
  /** Most bodies have one fault at most, so that no other hides it. */
  const rarely = random(3) === 0 ? 1000 : 8;
  const mostly = (list: readonly string[], good: string) => random(rarely) === 0 ? pick(list) : good;
  let text = "";
  for (let count = random(4); count > 0; count--) {
    const length = 1 + random(random(4) === 0 ? 300 : 20);
    const data = Array.from({ length }, () => BYTES[random(BYTES.length)]).join("");
    const digits = random(2) === 0 ? length.toString(16) : length.toString(16).toUpperCase();
    text += mostly(SIZES, digits) + (random(4) === 0 ? pick(EXTENSIONS) : "") + mostly(ENDS, "\r\n");
    text += (random(rarely) === 0 ? data.slice(random(3)) : data) + mostly(ENDS, "\r\n");
  }
  text += mostly(["00", "0 ", "", "000000000000000000", "-0"], "0") +
    (random(6) === 0 ? pick(EXTENSIONS) : "");
  text += mostly(ENDS, "\r\n");
  for (let count = random(3); count > 0; count--) text += mostly(TRAILERS, "X-Sum: 1") + mostly(ENDS, "\r\n");
  text += mostly(ENDS, "\r\n");
  if (random(4) !== 0) return text;
  const at = random(text.length + 1), byte = BYTES[random(BYTES.length)]!;
  return text.slice(0, at) + (random(3) === 0 ? "" : byte) + text.slice(at + random(2));
}

type Outcome = { readonly body: string; readonly rest: string } | "refused" | "cut off";

/** A connection that gives `pieces` one read after the other. */
function socketOf(pieces: readonly Uint8Array[]): Pick<Deno.Conn, "read"> {
  const left = [...pieces];
  return {
    read: (view) => {
      const piece = left.shift();
      if (!piece) return Promise.resolve(null);
      const count = Math.min(view.length, piece.length);
      view.set(piece.subarray(0, count));
      if (count < piece.length) left.unshift(piece.subarray(count));
      return Promise.resolve(count);
    },
  };
}

/** Where cuts are made; `view`: how much one read asks for. */
async function readWithLane(bytes: Buffer, cuts: readonly number[], view: number): Promise<Outcome> {
  const ends = [...cuts, bytes.length];
  const pieces = ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end)).filter(({ length }) =>
    length > 0
  );
  const inbox = new Inbox(socketOf(pieces));
  let isDone = false;
  const body = new IncomingBody({
    inbox,
    length: undefined,
    limits: LIMITS,
    onWanted: () => {},
    onDone: () => void (isDone = true),
  });
  let text = "";
  try {
    const buffer = new Uint8Array(view);
    for (let count = await body.read(buffer); count > 0; count = await body.read(buffer)) {
      text += String.fromCharCode(...buffer.subarray(0, count));
    }
  } catch (error) {
    return error instanceof StepwellError ? "refused" : "cut off";
  }
  assert.ok(isDone);
  while (await inbox.fill(1 << 16));
  return { body: text, rest: inbox.bytes.toString("latin1") };
}

/** Kinds of bodies that llhttp takes and the lane refuses, told from the text. */
const STRICTER: readonly ((text: string) => boolean)[] = [
  // Sizes with more digits than 2^53 needs.
  (text) => /(^|\r\n)[0-9a-fA-F]{14,}/.test(text),
  // Extensions without a name, or with a value of nothing, or of other than a token or a quoted text.
  (text) => /(^|\r\n)[0-9a-fA-F]+(?=;)[^\r\n]*(;[;=]|=[;\r]|=[^";\r]+")/.test(text),
];

Deno.test("chunked bodies are read as llhttp reads them, or refused, however they are cut", async () => {
  const random = randomFrom(seed);
  const counts = { both: 0, neither: 0, stricter: 0, cutOff: 0 };
  for (let input = 0; input < inputs; input++) {
    const text = bodyOf(random) + NEXT, bytes = Buffer.from(text, "latin1");
    const said = `${JSON.stringify(text)} (seed ${seed})`;
    const ours = await readWithLane(bytes, [], 1 << 16);
    const cuts = Array.from({ length: 1 + random(8) }, () => random(bytes.length)).sort((a, b) => a - b);
    assert.deepEqual(await readWithLane(bytes, cuts, 1 + random(40)), ours, `${said} cut at ${cuts}`);
    const everywhere = Array.from({ length: bytes.length }, (_, at) => at);
    if (input % 16 === 0) assert.deepEqual(await readWithLane(bytes, everywhere, 7), ours, said);
    const theirs = parseWithLlhttp(Buffer.from(HEAD + text, "latin1"));
    if (typeof ours !== "string") {
      assert.ok(theirs.isDone, `llhttp refuses ${said}`);
      assert.deepEqual([ours.body, ours.rest], [theirs.body, theirs.rest], said);
      counts.both += 1;
    } else if (theirs.isDone) {
      assert.ok(STRICTER.some((isSo) => isSo(text)), `only llhttp takes ${said}`);
      counts.stricter += 1;
    } else counts[ours === "cut off" ? "cutOff" : "neither"] += 1;
  }
  // Otherwise nothing was compared.
  for (const count of [counts.both, counts.neither]) assert.ok(count > inputs / 10, JSON.stringify(counts));
});
