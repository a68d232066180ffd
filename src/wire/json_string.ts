/**
 * Reads one string of a JSON text from its bytes, as they arrive. It decodes each part at once: no part is scanned
 * again, and a long string costs its own length once.
 */

import { malformedJson } from "./json_fault_error.ts";
import { areAscii, asciiText, scanLetters } from "./json_scan.ts";

const QUOTE = 0x22, BACKSLASH = 0x5c, LETTER_U = 0x75;
/** Longer texts are decoded by TextDecoder, whose call costs more and whose letters cost less. */
const ASCII_BYTES_MAX = 64;
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class StringReader {
  #text = "";
  #hasEscape = false;
  #stream: TextDecoder | undefined;
  /** Whether the closing quote has been taken. */
  isComplete = false;

  /** The text that has been read. Throws malformed_json for an unknown escape. */
  take(): string {
    return this.#text;
  }

  /**
   * Reads from `at`, after the opening quote, and returns the index of the first byte that it did not take: after the
   * string, or of an escape that goes on after `end`. `where` says where a byte stands in the body.
   */
  read(bytes: Uint8Array, at: number, end: number, where: (at: number) => string): number {
    let i = at, isAscii = true;
    for (;;) {
      i = scanLetters(bytes, i);
      isAscii &&= areAscii;
      if (i >= end || bytes[i] === QUOTE) break;
      if (bytes[i] !== BACKSLASH) {
        throw malformedJson(`unexpected ${JSON.stringify(String.fromCharCode(bytes[i]!))} ${where(i)}`);
      }
      const after = i + (bytes[i + 1] === LETTER_U ? 6 : 2);
      if (after > end) break;
      this.#hasEscape = true;
      i = after;
    }
    this.isComplete = i < end && bytes[i] === QUOTE;
    const isWhole = this.isComplete && this.#text === "" && this.#stream === undefined;
    this.#text += this.#unescape(this.#decode(bytes, at, i, isAscii, isWhole), where(at));
    return this.isComplete ? i + 1 : i;
  }

  #decode(bytes: Uint8Array, at: number, end: number, isAscii: boolean, isWhole: boolean): string {
    const isStreaming = this.#stream !== undefined;
    if (isAscii && !isStreaming && end - at <= ASCII_BYTES_MAX) return asciiText(bytes, at, end);
    try {
      if (isWhole) return UTF8.decode(bytes.subarray(at, end));
      // A letter of several bytes may be cut off at the end of the chunk.
      this.#stream ??= new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
      return this.#stream.decode(bytes.subarray(at, end), { stream: !this.isComplete });
    } catch {
      throw malformedJson("it is not UTF-8");
    }
  }

  #unescape(letters: string, place: string): string {
    if (!this.#hasEscape) return letters;
    this.#hasEscape = false;
    try {
      return JSON.parse(`"${letters}"`);
    } catch {
      throw malformedJson(`unknown escape in the string ${place}`);
    }
  }
}
