/**
 * Reads a JSON text from its bytes, as they arrive, into the value that `JSON.parse` gives. It differs on purpose:
 * a name that an object has twice, nesting deeper than 64 and more than the limits allow are refused at the first
 * byte that shows them, and arrays at the places of tensors become {@link NestedNumbers}.
 *
 * Invariant: the time of each call is proportional to the bytes of its chunk. Memory is proportional to the bytes
 * taken, which the limits bound.
 */

import { StepwellError } from "../errors.ts";
import { JSON_DEPTH_MAX, malformedJson, TOO_DEEP, unexpectedByte } from "./json_fault_error.ts";
import type { JsonLimits, TensorPlace } from "./json_limits.ts";
import { NumbersReader } from "./json_numbers.ts";
import { asciiText, NUMBER_BYTES_MAX, numberEnd, scanNumber } from "./json_scan.ts";
import { StringReader } from "./json_string.ts";

/** An object or array that is open. */
interface Frame {
  readonly value: Record<string, unknown> | unknown[];
  readonly place: TensorPlace | undefined;
  /** Of an object: the name of the member that is being read, and the number of names so far. */
  name: string;
  count: number;
}

type Expect = "value" | "value or ]" | "name" | "name or }" | ":" | "comma or end" | "end";

const LITERALS: readonly (readonly [string, unknown])[] = [["true", true], ["false", false], ["null", null]];
const BOM = [0xef, 0xbb, 0xbf];

export class JsonReader {
  readonly #limits: JsonLimits;
  /** What is being read: the rest of the chunk before, the chunk, and a sentinel 0. */
  #buffer = new Uint8Array(0);
  #end = 0;
  /** The index in the body of the buffer's first byte. */
  #offset = 0;
  readonly #frames: Frame[] = [];
  #expect: Expect = "value";
  #root: unknown;
  #numbers: NumbersReader | undefined;
  #string: StringReader | undefined;
  /** Values outside of tensors. */
  #values = 0;
  #tensorBytes = 0;

  constructor(limits: JsonLimits) {
    this.#limits = limits;
  }

  /** Errors: malformed_json, body_too_large, invalid_request, shape_mismatch, invalid_number. */
  write(chunk: Uint8Array): void {
    const rest = this.#end;
    const isFirst = this.#offset === 0 && rest === 0;
    const bytes = this.#hold(chunk);
    const at = this.#readAll(bytes, isFirst && BOM.every((byte, i) => bytes[i] === byte) ? BOM.length : 0);
    this.#end -= at;
    this.#offset += at;
    if (this.#end > NUMBER_BYTES_MAX) throw malformedJson(`a token is too long ${this.#where(0)}`);
    bytes.copyWithin(0, at, at + this.#end);
    const plain = this.#offset - this.#tensorBytes;
    const { plainBytesMax } = this.#limits;
    if (plain > plainBytesMax) {
      throw new StepwellError(
        "body_too_large",
        `Cannot take the body: it has over ${plainBytesMax} bytes besides the numbers of tensors, the most here`,
      );
    }
  }

  /** The value, at the end of the text. Throws malformed_json. */
  close(): unknown {
    // A number at the end is complete once something follows it.
    this.write(Uint8Array.of(0x20));
    if (this.#expect === "end" && this.#end === 0) return this.#root;
    throw malformedJson(`unexpected end at byte ${this.#offset + Math.max(0, this.#end - 1)}`);
  }

  /** Appends the chunk to the rest of the one before. */
  #hold(chunk: Uint8Array): Uint8Array {
    const bytes = this.#end + chunk.length;
    if (this.#buffer.length <= bytes) {
      const grown = new Uint8Array(bytes + 1);
      grown.set(this.#buffer.subarray(0, this.#end));
      this.#buffer = grown;
    }
    this.#buffer.set(chunk, this.#end);
    this.#buffer[bytes] = 0;
    this.#end = bytes;
    return this.#buffer;
  }

  /** Reads as many tokens as the buffer has. Returns the index of the first byte that was not taken. */
  #readAll(bytes: Uint8Array, from: number): number {
    const end = this.#end;
    let at = from;
    while (at < end) {
      const next = this.#readNext(bytes, at, end);
      if (next === at) return at;
      at = next;
    }
    return at;
  }

  #readNext(bytes: Uint8Array, at: number, end: number): number {
    if (this.#numbers) return this.#readNumbers(this.#numbers, bytes, at, end);
    if (this.#string) return this.#readString(this.#string, bytes, at, end);
    const byte = bytes[at]!;
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) return at + 1;
    const top = this.#frames[this.#frames.length - 1];
    switch (this.#expect) {
      case ":":
        if (byte !== 0x3a) break;
        this.#expect = "value";
        return at + 1;
      case "comma or end": {
        const isArray = Array.isArray(top!.value);
        if (byte === 0x2c) this.#expect = isArray ? "value" : "name";
        else if (byte === (isArray ? 0x5d : 0x7d)) this.#close();
        else break;
        return at + 1;
      }
      case "name or }":
      case "name":
        if (byte === 0x22) this.#string = new StringReader();
        else if (byte === 0x7d && this.#expect === "name or }") this.#close();
        else break;
        return at + 1;
      case "value or ]":
        if (byte !== 0x5d) return this.#readValue(bytes, at, end);
        this.#close();
        return at + 1;
      case "value":
        return this.#readValue(bytes, at, end);
      case "end":
    }
    throw this.#unexpected(bytes, at);
  }

  #readValue(bytes: Uint8Array, at: number, end: number): number {
    const byte = bytes[at]!;
    if (byte === 0x22) {
      this.#string = new StringReader();
      return at + 1;
    }
    if (byte === 0x7b) {
      this.#open({}, "name or }");
      return at + 1;
    }
    if (byte === 0x5b) {
      if (this.#placeOfNext()?.isTensor) {
        this.#numbers = new NumbersReader({
          depth: this.#frames.length,
          offset: () => this.#offset,
          path: () => this.#path(),
        });
        return this.#readNumbers(this.#numbers, bytes, at, end);
      }
      this.#open([], "value or ]");
      return at + 1;
    }
    if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
      const x = scanNumber(bytes, at);
      if (numberEnd >= end) return at;
      if (typeof x !== "number") throw this.#unexpected(bytes, x.at);
      this.#put(x);
      return numberEnd;
    }
    for (const [letters, value] of LITERALS) {
      const known = Math.min(end - at, letters.length);
      if (asciiText(bytes, at, at + known) !== letters.slice(0, known)) continue;
      if (known < letters.length) return at;
      this.#put(value);
      return at + known;
    }
    throw this.#unexpected(bytes, at);
  }

  #readNumbers(numbers: NumbersReader, bytes: Uint8Array, at: number, end: number): number {
    const next = numbers.read(bytes, at, end);
    this.#tensorBytes += next - at;
    if (!numbers.isComplete) return next;
    this.#numbers = undefined;
    this.#put(numbers.take());
    return next;
  }

  #readString(string: StringReader, bytes: Uint8Array, at: number, end: number): number {
    const next = string.read(bytes, at, end, (at) => this.#where(at));
    const isName = this.#expect === "name" || this.#expect === "name or }";
    if (!isName && this.#placeOfNext()?.isBase64) this.#tensorBytes += next - at;
    if (!string.isComplete) return next;
    this.#string = undefined;
    if (isName) this.#putName(string.take(), at);
    else this.#put(string.take());
    return next;
  }

  #putName(name: string, at: number): void {
    const top = this.#frames[this.#frames.length - 1]!;
    if (Object.hasOwn(top.value, name)) {
      throw malformedJson(
        `repeated key ${JSON.stringify(name.slice(0, 100))} before byte ${this.#offset + at}`,
      );
    }
    if (++top.count > this.#limits.namesMax) {
      throw new StepwellError(
        "invalid_request",
        `Cannot take the body: an object in it has over ${this.#limits.namesMax} names, the most here`,
        [{ path: this.#path(-1), message: `Must have at most ${this.#limits.namesMax} names` }],
      );
    }
    top.name = name;
    this.#expect = ":";
  }

  #open(value: Frame["value"], expect: Expect): void {
    if (this.#frames.length >= JSON_DEPTH_MAX) throw malformedJson(TOO_DEEP);
    const place = this.#placeOfNext();
    this.#put(value);
    this.#frames.push({ value, place, name: "", count: 0 });
    this.#expect = expect;
  }

  #close(): void {
    this.#frames.pop();
    this.#expect = this.#frames.length > 0 ? "comma or end" : "end";
  }

  /** Puts a value where it belongs. */
  #put(value: unknown): void {
    if (++this.#values > this.#limits.valuesMax) {
      throw new StepwellError(
        "body_too_large",
        `Cannot take the body: it has over ${this.#limits.valuesMax} values, the most here`,
      );
    }
    const top = this.#frames[this.#frames.length - 1];
    if (!top) {
      this.#root = value;
      this.#expect = "end";
      return;
    }
    if (Array.isArray(top.value)) top.value.push(value);
    else if (top.name === "__proto__") {
      const own = { value, writable: true, enumerable: true, configurable: true };
      Object.defineProperty(top.value, top.name, own);
    } else top.value[top.name] = value;
    this.#expect = "comma or end";
  }

  #placeOfNext(): TensorPlace | undefined {
    const top = this.#frames[this.#frames.length - 1];
    if (!top) return this.#limits.places;
    const { place } = top;
    return Array.isArray(top.value) ? place?.each : place?.members?.get(top.name) ?? place?.each;
  }

  /** The path of the value that is being read. `to`: how many of the innermost names to leave out, negative. */
  #path(to?: number): string {
    const names = this.#frames.map(({ value, name }) => Array.isArray(value) ? value.length : name);
    return names.slice(0, to).join(".");
  }

  #where(at: number): string {
    return `at byte ${this.#offset + at}`;
  }

  #unexpected(bytes: Uint8Array, at: number): StepwellError {
    return malformedJson(`${unexpectedByte(bytes, at)} ${this.#where(at)}`);
  }
}
