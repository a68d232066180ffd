/**
 * The body of one request as it comes from the socket: of a declared length, or in chunks (RFC 9112, 7.1). Trailers
 * are checked and dropped. It limits no length: whoever reads it does.
 *
 * Invariant: not a byte behind the body is taken from the inbox.
 */
import { Buffer } from "node:buffer";
import { type HeadLimits, malformed, parseField } from "./head.ts";
import { LF } from "./grammar.ts";
import type { Inbox } from "./inbox.ts";

/** The most that one read asks for: half of what a second-level cache holds. */
const READ_BYTES = 64 << 10;
/** What one body may spend on extensions of its chunks, which nobody reads. */
const EXTENSION_BYTES_MAX = 16 << 10;
/** RFC 9112, 7.1.1, without the blanks that it calls bad: servers disagree about them. */
const TOKEN = "[!#$%&'*+.^_`|~0-9a-z-]+";
const QUOTED = String.raw`"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"`;
const SIZE_LINE = new RegExp(`^([0-9a-f]{1,16})((?:;${TOKEN}(?:=(?:${TOKEN}|${QUOTED}))?)*)$`, "i");
/** They say where a body ends, which a trailer comes too late for. */
const FRAMING = new Set(["content-length", "transfer-encoding"]);

export interface BodyParts {
  readonly inbox: Inbox;
  /** Undefined: in chunks. */
  readonly length: number | undefined;
  readonly limits: HeadLimits;
  /** Called before the client is first waited for. */
  readonly onWanted: () => void;
  /** Called when all of it was read. */
  readonly onDone: () => void;
}

export class IncomingBody {
  readonly #parts: BodyParts;
  /** Of the body, or of the chunk. */
  #left: number;
  #isFirstChunk = true;
  #isDone = false;
  #isWanted = false;
  #extensionBytes = 0;

  constructor(parts: BodyParts) {
    this.#parts = parts;
    this.#left = parts.length ?? 0;
  }

  /** Whether all of it was read. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Bytes that were not read; Infinity if nobody knows. */
  get left(): number {
    return this.#isDone ? 0 : this.#parts.length === undefined ? Infinity : this.#left;
  }

  /** All of it, if all of it is here. */
  whole(): Uint8Array<ArrayBuffer> | undefined {
    const { inbox, length } = this.#parts;
    if (length === undefined || length > inbox.length) return undefined;
    const bytes = new Uint8Array(inbox.bytes.subarray(0, length));
    inbox.skip(length);
    this.#end();
    return bytes;
  }

  /** Fills `view`, or a part of it, and returns the number of bytes; 0 at the end. Throws if the body is cut off. */
  async read(view: Uint8Array): Promise<number> {
    if (this.#isDone) return 0;
    const { inbox, onWanted } = this.#parts;
    if (!this.#isWanted) {
      this.#isWanted = true;
      if (inbox.length === 0) onWanted();
    }
    if (this.#left === 0 && !await this.#nextChunk()) return 0;
    const count = await inbox.readInto(view.subarray(0, Math.min(view.length, this.#left)));
    if (count === 0) throw new Error("the connection ended");
    this.#left -= count;
    if (this.#left === 0 && this.#parts.length !== undefined) this.#end();
    return count;
  }

  /** As a stream that reads when it is read. */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const size = Math.min(READ_BYTES, this.#parts.length ?? READ_BYTES);
    return new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: size,
      pull: async (controller) => {
        const request = controller.byobRequest as ReadableStreamBYOBRequest;
        const view = request.view as Uint8Array;
        const count = await this.read(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
        if (count === 0) controller.close();
        request.respond(count);
        if (count > 0 && this.#isDone) controller.close();
      },
    });
  }

  /** Reads the size of the next chunk. Returns false behind the last one. */
  async #nextChunk(): Promise<boolean> {
    if (!this.#isFirstChunk && await this.#line(0) !== "") throw malformed("a chunk is longer than its size");
    this.#isFirstChunk = false;
    const line = await this.#line(EXTENSION_BYTES_MAX);
    const [, digits = "", extension = ""] = SIZE_LINE.exec(line) ?? [];
    const size = digits === "" ? NaN : parseInt(digits, 16);
    if (!Number.isSafeInteger(size)) {
      throw malformed("a chunk does not begin with a hexadecimal size and extensions without blanks");
    }
    this.#extensionBytes += extension.length;
    if (this.#extensionBytes > EXTENSION_BYTES_MAX) throw malformed("its chunks have long extensions");
    this.#left = size;
    if (size > 0) return true;
    await this.#trailers();
    this.#end();
    return false;
  }

  #end(): void {
    this.#isDone = true;
    this.#left = 0;
    this.#parts.onDone();
  }

  async #trailers(): Promise<void> {
    const { headBytesMax, headersMax } = this.#parts.limits;
    let bytes = 0;
    for (let count = 0;; count++) {
      const line = await this.#line(headBytesMax);
      if (line === "") return;
      bytes += line.length;
      if (count === headersMax || bytes > headBytesMax) throw malformed("it has too many trailers");
      const [name] = parseField(Buffer.from(line, "latin1"), line, 0, line.length);
      if (FRAMING.has(name)) throw malformed(`its trailers have ${name}`);
    }
  }

  /** The next line without its end. */
  async #line(bytesMax: number): Promise<string> {
    const { inbox } = this.#parts;
    for (;;) {
      const { bytes } = inbox;
      const at = bytes.indexOf(LF);
      if (at > bytesMax + 64 || (at < 0 && bytes.length > bytesMax + 64)) {
        throw malformed("a line between its chunks is too long");
      }
      if (at >= 0) {
        const text = bytes.toString("latin1", 0, at);
        if (!text.endsWith("\r")) throw malformed("a line ends with LF alone, must end with CR LF");
        inbox.skip(at + 1);
        return text.slice(0, -1);
      }
      if (!await inbox.fill(bytesMax + 128)) throw new Error("the connection ended");
    }
  }
}
