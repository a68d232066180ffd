/**
 * The head of a request: its first line and its headers, exactly as HTTP/1.1 writes them (RFC 9112). What some servers
 * put right (a bare LF, a folded line, a space before a colon) is refused: two servers that read one head in two ways
 * let requests through that neither meant to take.
 *
 * Invariant: what is accepted here, llhttp (Node's parser) reads in the same way. test/routes/lane/head_fuzz_test.ts
 * holds both together.
 */
import type { Buffer } from "node:buffer";
import { StepwellError } from "../../src/errors.ts";
import { COLON, CR, LF, SPACE, TAB, TARGET, TOKEN, VALUE } from "./grammar.ts";

export interface Head {
  readonly method: string;
  readonly target: string;
  /** Of HTTP/1.x. */
  readonly minor: 0 | 1;
  /** In the order in which they came, names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

export interface HeadLimits {
  readonly headBytesMax: number;
  readonly headersMax: number;
}

/** Empty lines before a request that are passed over (RFC 9112, 2.2). */
const EMPTY_LINES_MAX = 2;

/** Finds where a head ends, as its bytes arrive. */
export class HeadScan {
  /** Where the next line begins, from the head's first byte. */
  #line = 0;
  /** What has been looked at. */
  #seen = 0;
  #emptyLines = 0;
  /** Bytes of empty lines before the first line. */
  skipped = 0;

  /**
   * The length of the head in `bytes`, which begin with it; undefined: the rest has not come. `bytes` may be longer
   * with each call. Throws malformed_request.
   */
  end(bytes: Buffer): number | undefined {
    for (;;) {
      const at = bytes.indexOf(LF, this.#seen);
      if (at < 0) {
        this.#seen = bytes.length;
        return undefined;
      }
      if (bytes[at - 1] !== CR || at === 0) throw malformed("a line ends with LF alone, must end with CR LF");
      const start = this.#line;
      this.#line = this.#seen = at + 1;
      if (at - start > 1) continue;
      if (start > this.skipped) return at + 1;
      if (++this.#emptyLines > EMPTY_LINES_MAX) throw malformed("it begins with empty lines");
      this.skipped = at + 1;
    }
  }
}

/** Reads the head at `bytes`, with the empty line at its end. Throws malformed_request, head_too_large. */
export function parseHead(bytes: Buffer, { headersMax }: HeadLimits): Head {
  // One string for all: a byte is a character, and its parts are slices.
  const text = bytes.toString("latin1");
  const lineEnd = bytes.indexOf(LF) - 1;
  const methodEnd = runOf(TOKEN, bytes, 0, lineEnd);
  if (methodEnd === 0 || bytes[methodEnd] !== SPACE) throw malformed("its first line has no method");
  const targetEnd = runOf(TARGET, bytes, methodEnd + 1, lineEnd);
  if (targetEnd === methodEnd + 1 || bytes[targetEnd] !== SPACE) {
    throw malformed("its first line has no target, or one with other characters than those of a URL");
  }
  const version = text.slice(targetEnd + 1, lineEnd);
  if (version !== "HTTP/1.1" && version !== "HTTP/1.0") {
    throw malformed("its first line must end with HTTP/1.1 or HTTP/1.0");
  }
  const fields: (readonly [string, string])[] = [];
  for (let at = lineEnd + 2; bytes[at] !== CR || bytes[at + 1] !== LF;) {
    const end = bytes.indexOf(LF, at) - 1;
    if (fields.length === headersMax) {
      throw new StepwellError(
        "head_too_large",
        `Cannot read the request: it has more than ${headersMax} headers`,
      );
    }
    fields.push(parseField(bytes, text, at, end));
    at = end + 2;
  }
  return {
    method: text.slice(0, methodEnd),
    target: text.slice(methodEnd + 1, targetEnd),
    minor: version === "HTTP/1.1" ? 1 : 0,
    fields,
  };
}

/** Reads a line `name: value`, of a head or of trailers; `text` has a character for each of the bytes. Throws malformed_request. */
export function parseField(
  bytes: Buffer,
  text: string,
  start: number,
  end: number,
): readonly [string, string] {
  const nameEnd = runOf(TOKEN, bytes, start, end);
  if (nameEnd === start || bytes[nameEnd] !== COLON) {
    const isFolded = bytes[start] === SPACE || bytes[start] === TAB;
    throw malformed(
      isFolded ? "a header goes on in the next line" : "a header's name is not followed by a colon",
    );
  }
  let from = nameEnd + 1, to = end;
  while (from < to && isBlank(bytes[from]!)) from++;
  while (to > from && isBlank(bytes[to - 1]!)) to--;
  if (runOf(VALUE, bytes, from, to) !== to) throw malformed("a header's value has a control character");
  return [text.slice(start, nameEnd).toLowerCase(), text.slice(from, to)];
}

const isBlank = (byte: number) => byte === SPACE || byte === TAB;

/** The end of the run of bytes of a class. */
function runOf(members: Uint8Array, bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && members[bytes[at]!] === 1) at++;
  return at;
}

export function malformed(problem: string): StepwellError {
  return new StepwellError("malformed_request", `Cannot read the request: ${problem}`);
}
