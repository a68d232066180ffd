/**
 * Reads a safetensors file into sinks as it arrives, in chunks of any length. It buffers only the incomplete header:
 * tensor bytes go from the chunk to their sink as views.
 *
 * Invariant: a sink gets exactly the bytes of its entry, in order, and is closed once, after the last byte. Sinks are
 * served in the order of the file. A view is valid only during the call to the sink.
 */

import { StepwellError } from "../errors.ts";
import { atOnce, inSlices } from "../slices.ts";
import type { ByteSink, WholeBody } from "../tensor.ts";
import { looksLike } from "./looks_like.ts";
import {
  HEADER_BYTES_MAX,
  malformed,
  parsingHeader,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from "./safetensors_header.ts";

/** The default limit here: room for some ten thousand tensors. */
const HEADER_BYTES_MAX_DEFAULT = 4 << 20;
const PREFIX_BYTES = 8;
/** Bytes that {@link SafetensorsReader.writing} takes at a time, and how long a tensor takes besides its bytes. */
const PIECE_BYTES = 16 << 10, TENSOR_UNITS = 1000;
/** Files with fewer tensors are written as they arrive. */
const MANY = 1000;
const BRACE = 0x7b;
/** A header of this length takes some milliseconds. */
const LONG_BYTES_MIN = 64 << 10;

/** Where the bytes of a file go: to every entry's sink by name, or all to one. */
type Sinks =
  | { readonly sinks: ReadonlyMap<string, ByteSink> }
  | { readonly whole: ByteSink; readonly bytes: number };

export interface SafetensorsReaderOptions {
  /**
   * Called once, before any tensor byte; returns every entry's sink by name, or yields after each piece of its work how
   * long that took, in nanoseconds. Its errors are passed on.
   */
  readonly onHeader: (
    header: SafetensorsHeader,
  ) => ReadonlyMap<string, ByteSink> | Generator<number, Sinks>;
  /**
   * Called with the header's bytes before they are parsed: the file as a whole, if its entries are known. May yield as
   * `onHeader`.
   */
  readonly recall?:
    | ((header: Uint8Array) => WholeBody | undefined | Generator<number, WholeBody | undefined>)
    | undefined;
  /** The length of the file, if known (Content-Length): a header that contradicts it is refused at once. */
  readonly fileBytes?: number | undefined;
  /** The longest header to accept: default 4 MiB. Only files that nobody else reads may exceed the format's limit. */
  readonly headerBytesMax?: number | undefined;
}

/**
 * The reader of one file: call `write` with every chunk, then `close`. It cannot be used after an error.
 *
 * Errors: malformed_safetensors; incomplete_body if the body ends before the file; body_too_large for the header.
 */
export class SafetensorsReader {
  readonly #options: SafetensorsReaderOptions;
  /** The received part of prefix and header. It grows with the bytes received, not with the length claimed. */
  #head = new Uint8Array(PREFIX_BYTES);
  #headBytes = 0;
  #headBytesWanted = PREFIX_BYTES;
  #sinks: ReadonlyMap<string, ByteSink> | undefined;
  #entries: readonly Pick<SafetensorsEntry, "name" | "bytes">[] = [];
  #entryIndex = 0;
  /** Whether one entry stands for all of the file. */
  #isWhole = false;
  /** Bytes of the current entry that have not arrived yet. */
  #missing = 0;

  constructor(options: SafetensorsReaderOptions) {
    this.#options = options;
  }

  write(chunk: Uint8Array): void {
    if (this.#sinks !== undefined) return this.#writeTensors(chunk, 0);
    const at = this.#receiveHead(chunk);
    if (at === undefined) return;
    atOnce(this.#readHeader());
    this.#writeTensors(chunk, at);
  }

  /** As {@link write}, in pieces. */
  *writing(chunk: Uint8Array): Generator<number, void> {
    const at = this.#sinks === undefined ? this.#receiveHead(chunk) : 0;
    if (at === undefined) return;
    if (this.#sinks === undefined) yield* this.#readHeader();
    yield* this.#writingTensors(chunk, at);
  }

  *#writingTensors(chunk: Uint8Array, from: number): Generator<number, void> {
    for (let at = from; at < chunk.length; at += PIECE_BYTES) {
      const first = this.#entryIndex, piece = chunk.subarray(at, at + PIECE_BYTES);
      this.#writeTensors(piece, 0);
      yield piece.length + TENSOR_UNITS * (this.#entryIndex - first);
    }
  }

  /**
   * As {@link write}; others run while a long header, or many tensors, are read. The chunk must be valid until the
   * promise resolves.
   */
  writeInSlices(chunk: Uint8Array): void | Promise<void> {
    if (this.#sinks !== undefined) {
      const areMany = this.#entries.length > MANY;
      return areMany ? inSlices(this.#writingTensors(chunk, 0)) : this.#writeTensors(chunk, 0);
    }
    const at = this.#receiveHead(chunk);
    if (at === undefined) return;
    if (this.#headBytesWanted >= LONG_BYTES_MIN) {
      return inSlices(this.#readHeader()).then(() => inSlices(this.#writingTensors(chunk, at)));
    }
    atOnce(this.#readHeader());
    this.#writeTensors(chunk, at);
  }

  /** Returns where the tensors begin in the chunk; undefined if the header goes on after it. */
  #receiveHead(chunk: Uint8Array): number | undefined {
    let at = 0;
    for (;;) {
      at += this.#takeHead(chunk, at);
      if (this.#headBytes > PREFIX_BYTES) this.#checkFirstByte();
      if (this.#headBytes < this.#headBytesWanted) return undefined;
      if (this.#headBytesWanted > PREFIX_BYTES) return at;
      this.#readPrefix();
    }
  }

  #writeTensors(chunk: Uint8Array, from: number): void {
    let at = from;
    while (at < chunk.length) {
      const sink = this.#currentSink();
      if (!sink) throw malformed(`bytes follow the last tensor`);
      const piece = chunk.subarray(at, at + this.#missing);
      sink.write(piece);
      at += piece.length;
      this.#missing -= piece.length;
      if (this.#missing === 0) this.#endEntry();
    }
  }

  /** Marks the end of the body. Throws unless the file is complete. */
  close(): void {
    if (this.#sinks === undefined) {
      throw incomplete(
        `${this.#headBytes} bytes of its header arrived, ${this.#headBytesWanted} are announced`,
      );
    }
    const entry = this.#entries[this.#entryIndex];
    if (entry && this.#isWhole) throw incomplete(`${this.#missing} bytes of its tensors are missing`);
    if (entry) throw incomplete(`${this.#missing} bytes of ${JSON.stringify(entry.name)} are missing`);
  }

  /** Copies the missing part of the head from the chunk and returns its length. */
  #takeHead(chunk: Uint8Array, at: number): number {
    const piece = chunk.subarray(at, at + this.#headBytesWanted - this.#headBytes);
    const bytes = this.#headBytes + piece.length;
    if (bytes > this.#head.length) {
      const grown = new Uint8Array(Math.min(this.#headBytesWanted, Math.max(bytes, 2 * this.#head.length)));
      grown.set(this.#head.subarray(0, this.#headBytes));
      this.#head = grown;
    }
    this.#head.set(piece, this.#headBytes);
    this.#headBytes = bytes;
    return piece.length;
  }

  #readPrefix(): void {
    const announced = new DataView(this.#head.buffer).getBigUint64(0, true);
    const { fileBytes = Infinity, headerBytesMax = HEADER_BYTES_MAX_DEFAULT } = this.#options;
    if (announced === 0n) throw malformed("its header is empty");
    if (announced > headerBytesMax || announced > fileBytes - PREFIX_BYTES) this.#refuseOtherFormat();
    if (announced > Math.max(HEADER_BYTES_MAX, headerBytesMax)) {
      throw malformed(`its header has ${announced} bytes, must have ${HEADER_BYTES_MAX} at most`);
    }
    if (announced > headerBytesMax) {
      const message = `Cannot read the safetensors body: its header has ${announced} bytes, ` +
        `must have ${headerBytesMax} at most`;
      throw new StepwellError("body_too_large", message);
    }
    this.#headBytesWanted = PREFIX_BYTES + Number(announced);
    if (this.#headBytesWanted > fileBytes) {
      throw incomplete(`its header ends at byte ${this.#headBytesWanted}, the body at ${fileBytes}`);
    }
  }

  /** A body of another format is refused by its first bytes, not after the megabytes that they seem to announce. */
  #checkFirstByte(): void {
    if (this.#head[PREFIX_BYTES] === BRACE) return;
    this.#refuseOtherFormat();
    throw malformed("its header must begin with {");
  }

  #refuseOtherFormat(): void {
    const format = looksLike(this.#head);
    if (format !== undefined) throw malformed(`it looks like ${format}`);
  }

  *#readHeader(): Generator<number, void> {
    const bytes = this.#head.subarray(PREFIX_BYTES, this.#headBytes);
    const recalled = this.#options.recall?.(bytes);
    const known = recalled && "next" in recalled ? yield* recalled : recalled;
    if (known) {
      this.#checkLength(known.bytes);
      return this.#begin({ whole: known.open(), bytes: known.bytes }, []);
    }
    const header = yield* parsingHeader(bytes);
    this.#checkLength(header.bufferBytes);
    const found = this.#options.onHeader(header);
    this.#begin("next" in found ? yield* found : { sinks: found }, header.entries);
  }

  #checkLength(tensorBytes: number): void {
    const wanted = this.#headBytesWanted + tensorBytes;
    const { fileBytes = wanted } = this.#options;
    if (wanted > fileBytes) {
      throw incomplete(`its header describes ${wanted} bytes, the body has ${fileBytes}`);
    }
    if (wanted < fileBytes) {
      throw malformed(`its header describes ${wanted} bytes, the body has ${fileBytes}`);
    }
  }

  #begin(where: Sinks, entries: readonly SafetensorsEntry[]): void {
    this.#head = new Uint8Array(0);
    if ("whole" in where) {
      this.#isWhole = true;
      const all = { name: "", bytes: where.bytes };
      this.#entries = [all];
      this.#sinks = new Map([[all.name, where.whole]]);
    } else {
      this.#entries = entries;
      this.#sinks = where.sinks;
    }
    this.#missing = this.#entries[0]?.bytes ?? 0;
    if (this.#missing === 0 && this.#entries.length > 0) this.#endEntry();
  }

  #currentSink(): ByteSink | undefined {
    const entry = this.#entries[this.#entryIndex];
    if (!entry) return undefined;
    const sink = this.#sinks!.get(entry.name);
    if (!sink) throw new Error(`onHeader gave no sink for ${entry.name}`);
    return sink;
  }

  /** Closes the current entry and the empty entries after it, for which no byte will arrive. */
  #endEntry(): void {
    do {
      this.#currentSink()!.close();
      this.#entryIndex++;
      this.#missing = this.#entries[this.#entryIndex]?.bytes ?? 0;
    } while (this.#missing === 0 && this.#entryIndex < this.#entries.length);
  }
}

function incomplete(problem: string): StepwellError {
  return new StepwellError("incomplete_body", `Cannot read the safetensors body: ${problem}`);
}
