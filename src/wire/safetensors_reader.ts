/**
 * Reads a safetensors file into sinks as it arrives, in chunks of any length. It buffers only the incomplete header:
 * tensor bytes go from the chunk to their sink as views.
 *
 * Invariant: a sink gets exactly the bytes of its entry, in order, and is closed once, after the last byte. Sinks are
 * served in the order of the file. A view is valid only during the call to the sink.
 */

import { StepwellError } from "../errors.ts";
import type { ByteSink } from "../tensor.ts";
import { looksLike } from "./looks_like.ts";
import {
  HEADER_BYTES_MAX,
  malformed,
  parseHeader,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from "./safetensors_header.ts";

/** The default limit here: room for some ten thousand tensors. */
const HEADER_BYTES_MAX_DEFAULT = 4 << 20;
const PREFIX_BYTES = 8;
const BRACE = 0x7b;

export interface SafetensorsReaderOptions {
  /** Called once, before any tensor byte; returns every entry's sink by name. Its errors are passed on. */
  readonly onHeader: (header: SafetensorsHeader) => ReadonlyMap<string, ByteSink>;
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
  #entries: readonly SafetensorsEntry[] = [];
  #entryIndex = 0;
  /** Bytes of the current entry that have not arrived yet. */
  #missing = 0;

  constructor(options: SafetensorsReaderOptions) {
    this.#options = options;
  }

  write(chunk: Uint8Array): void {
    let at = 0;
    while (this.#sinks === undefined) {
      at += this.#takeHead(chunk, at);
      if (this.#headBytes > PREFIX_BYTES) this.#checkFirstByte();
      if (this.#headBytes < this.#headBytesWanted) return;
      if (this.#headBytesWanted === PREFIX_BYTES) this.#readPrefix();
      else this.#readHeader();
    }
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

  #readHeader(): void {
    const header = parseHeader(this.#head.subarray(PREFIX_BYTES, this.#headBytes));
    const wanted = this.#headBytesWanted + header.bufferBytes;
    const { fileBytes = wanted } = this.#options;
    if (wanted > fileBytes) {
      throw incomplete(`its header describes ${wanted} bytes, the body has ${fileBytes}`);
    }
    if (wanted < fileBytes) {
      throw malformed(`its header describes ${wanted} bytes, the body has ${fileBytes}`);
    }
    this.#head = new Uint8Array(0);
    this.#sinks = this.#options.onHeader(header);
    this.#entries = header.entries;
    this.#missing = header.entries[0]?.bytes ?? 0;
    if (this.#missing === 0 && header.entries.length > 0) this.#endEntry();
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
