/**
 * Reads a safetensors file as it arrives, in chunks of any length, into sinks. Holds the header while it is incomplete
 * and nothing else: tensor bytes go from the chunk to their sink as views.
 *
 * Invariant: a sink gets exactly the bytes of its entry, in order, and is closed once, when the last has come. Sinks
 * are served in the order of the file. A view given to a sink is good only during the call.
 */

import { StepwellError } from "../errors.ts";
import type { ByteSink } from "../tensor.ts";
import {
  malformed,
  parseHeader,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from "./safetensors_header.ts";

/** The format's own bound. */
const HEADER_BYTES_MAX = 100_000_000;
/** Ours: room for some ten thousand tensors. */
const HEADER_BYTES_MAX_DEFAULT = 4 << 20;
const PREFIX_BYTES = 8;

export interface SafetensorsReaderOptions {
  /** Called once, before any tensor byte; gives the sink of every entry by its name. What it throws passes through. */
  readonly onHeader: (header: SafetensorsHeader) => ReadonlyMap<string, ByteSink>;
  /** How long the file will be, if that is known (Content-Length): a header that says otherwise is refused at once. */
  readonly fileBytes?: number | undefined;
  /** Longest header to take: 0..100,000,000, default 4 MiB. */
  readonly headerBytesMax?: number | undefined;
}

/**
 * The reader of one file: `write` every chunk, then `close`. After an error it is of no more use.
 *
 * Errors: malformed_safetensors; incomplete_body when the file goes on behind its end; body_too_large for the header.
 */
export class SafetensorsReader {
  readonly #options: SafetensorsReaderOptions;
  /** Prefix and header, as far as they have come; it grows with them, not with what the prefix claims. */
  #head = new Uint8Array(PREFIX_BYTES);
  #headBytes = 0;
  #headBytesWanted = PREFIX_BYTES;
  #sinks: ReadonlyMap<string, ByteSink> | undefined;
  #entries: readonly SafetensorsEntry[] = [];
  #entryIndex = 0;
  /** Bytes that the current entry still lacks. */
  #missing = 0;

  constructor(options: SafetensorsReaderOptions) {
    this.#options = options;
  }

  write(chunk: Uint8Array): void {
    let at = 0;
    while (this.#sinks === undefined) {
      at += this.#takeHead(chunk, at);
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

  /** Says that the body is over; throws unless the file is. */
  close(): void {
    if (this.#sinks === undefined) {
      throw incomplete(`${this.#headBytes} bytes of its header came, ${this.#headBytesWanted} are announced`);
    }
    const entry = this.#entries[this.#entryIndex];
    if (entry) throw incomplete(`${this.#missing} bytes of ${JSON.stringify(entry.name)} are missing`);
  }

  /** Copies what the head lacks from the chunk and returns how much that was. */
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
    const { fileBytes, headerBytesMax = HEADER_BYTES_MAX_DEFAULT } = this.#options;
    if (announced > HEADER_BYTES_MAX) {
      throw malformed(`its header has ${announced} bytes, must have ${HEADER_BYTES_MAX} at most`);
    }
    if (announced === 0n) throw malformed("its header is empty");
    if (announced > headerBytesMax) {
      const message = `Cannot read the safetensors body: its header has ${announced} bytes, ` +
        `must have ${headerBytesMax} at most`;
      throw new StepwellError("body_too_large", message);
    }
    this.#headBytesWanted = PREFIX_BYTES + Number(announced);
    if (fileBytes !== undefined && this.#headBytesWanted > fileBytes) {
      throw incomplete(`its header ends at byte ${this.#headBytesWanted}, the body at ${fileBytes}`);
    }
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

  /** Closes the current entry, and the empty ones behind it: no byte will come for them. */
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
