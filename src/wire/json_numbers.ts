/**
 * Reads the nested numbers of one tensor from the bytes of a JSON text, as they arrive. It makes one list of float64
 * and a shape, no array for each row, and refuses ragged nesting at the first byte that shows it.
 *
 * Invariant: what it takes has the numbers and the shape that `flatten` finds in what `JSON.parse` makes of the text.
 */

import { JSON_DEPTH_MAX, malformedJson, TOO_DEEP, unexpectedByte } from "./json_fault_error.ts";
import { areAscii, asciiText, numberEnd, scanLetters, scanNumber } from "./json_scan.ts";
import { NON_FINITE, NOT_A_NUMBER, RANK_MAX } from "./nested_numbers.ts";
import { NestedNumbers, NumberList } from "./number_list.ts";
import { unreadable } from "./unreadable.ts";

const OPEN = 0x5b, CLOSE = 0x5d, COMMA = 0x2c, QUOTE = 0x22, BRACE = 0x7b;
/** The longest token that is no number and must be whole: "-Infinity" with its quotes. */
const WORD_BYTES_MAX = 11;

/** Shorter stretches of numbers are read one by one. */
const STRETCH_BYTES_MIN = 128;
const ASCII = new TextDecoder();

export interface NumbersPlace {
  /** Arrays and objects around the tensor. */
  readonly depth: number;
  /** The index in the whole body of the buffer's first byte. */
  readonly offset: () => number;
  /** The path of the tensor, for messages. */
  readonly path: () => string;
}

export class NumbersReader {
  readonly #place: NumbersPlace;
  readonly #list = new NumberList();
  /** The length of each dimension, once its first array has been closed. */
  readonly #shape: number[] = [];
  /** The elements so far of each open array. */
  readonly #counts: number[] = [];
  /** Known from the first number, or the first array that is closed. */
  #rank: number | undefined;
  #expect: "value" | "value or ]" | "comma or ]" = "value";
  /** Up to this index of the buffer, numbers are read one by one. */
  #singlyUntil = 0;

  constructor(place: NumbersPlace) {
    this.#place = place;
  }

  get isComplete(): boolean {
    return this.#counts.length === 0 && this.#expect === "comma or ]";
  }

  /** The tensor that has been read. */
  take(): NestedNumbers {
    return new NestedNumbers(this.#shape, this.#list.take());
  }

  /**
   * Reads from `at`, where the first call finds the opening bracket, and returns the index of the first byte that it
   * did not take: after the tensor, or of a token that goes on after `end`.
   */
  read(bytes: Uint8Array, at: number, end: number): number {
    this.#singlyUntil = 0;
    while (at < end) {
      const byte = bytes[at]!;
      if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) at++;
      else if (this.#expect === "comma or ]") {
        if (byte === COMMA) this.#expect = "value";
        else if (byte === CLOSE) this.#close();
        else throw this.#malformed(bytes, at);
        at++;
        if (this.isComplete) return at;
      } else if (byte === CLOSE && this.#expect === "value or ]") {
        this.#close();
        at++;
        if (this.isComplete) return at;
      } else if (byte === OPEN) {
        this.#open();
        at++;
      } else if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
        const next = this.#takeNumbers(bytes, at, end);
        // The last number may go on after the end.
        if (next === at) return at;
        at = next;
      } else {
        const next = this.#takeWord(bytes, at, end);
        if (next === at) return at;
        at = next;
      }
    }
    return at;
  }

  /** Takes numbers and the commas between them. Most of the time of a large body is spent here. */
  #takeNumbers(bytes: Uint8Array, at: number, end: number): number {
    this.#checkLevel(() => asciiText(bytes, at, Math.min(end, at + 24)));
    return this.#takeStretch(bytes, at, end) ?? this.#takeEach(bytes, at, end);
  }

  /**
   * Takes all numbers up to the end of the array or of the chunk by `JSON.parse`, which reads numbers of 17 digits
   * several times as fast. Undefined if there are few, or other values among them.
   */
  #takeStretch(bytes: Uint8Array, at: number, end: number): number | undefined {
    if (at < this.#singlyUntil) return undefined;
    const close = bytes.indexOf(CLOSE, at);
    const isLast = close >= 0 && close < end;
    const stop = isLast ? close : bytes.lastIndexOf(COMMA, end - 1);
    if (stop - at < STRETCH_BYTES_MIN) return undefined;
    const numbers = parseNumbers(bytes.subarray(at, stop));
    if (numbers === undefined) {
      this.#singlyUntil = stop;
      return undefined;
    }
    this.#list.pushAll(numbers);
    this.#counts[this.#counts.length - 1]! += numbers.length;
    this.#expect = isLast ? "comma or ]" : "value";
    return isLast ? stop : stop + 1;
  }

  #takeEach(bytes: Uint8Array, at: number, end: number): number {
    const list = this.#list;
    let count = 0, taken = at, isAfterComma = true;
    for (let byte = bytes[at]!; byte === 0x2d || (byte >= 0x30 && byte <= 0x39); byte = bytes[at]!) {
      const x = scanNumber(bytes, at);
      if (numberEnd >= end) break;
      if (typeof x !== "number") throw this.#malformed(bytes, x.at);
      list.push(finite(x));
      count++;
      taken = at = numberEnd;
      isAfterComma = bytes[at] === COMMA;
      if (!isAfterComma) break;
      taken = ++at;
      while (bytes[at] === 0x20 || bytes[at] === 0x0a) at++;
    }
    if (count === 0) return taken;
    this.#counts[this.#counts.length - 1]! += count;
    this.#expect = isAfterComma ? "value" : "comma or ]";
    return taken;
  }

  /** Takes "NaN", "Infinity" or "-Infinity", and refuses all other values. */
  #takeWord(bytes: Uint8Array, at: number, end: number): number {
    const isString = bytes[at] === QUOTE;
    const close = isString ? scanLetters(bytes, at + 1) : at;
    const isCutOff = isString ? close >= end : end - at < 5;
    if (isCutOff && end - at < WORD_BYTES_MAX) return at;
    if (bytes[at] === BRACE) throw this.#refuse("an object");
    if (!isString) {
      const word = /^(?:true|false|null)/.exec(asciiText(bytes, at, at + 5))?.[0];
      throw word === undefined ? this.#malformed(bytes, at) : this.#refuse(word);
    }
    const isShort = areAscii && bytes[close] === QUOTE && close - at < WORD_BYTES_MAX;
    const text = isShort ? asciiText(bytes, at + 1, close) : "";
    const x = NON_FINITE.get(text);
    if (x === undefined) throw this.#refuse(text === "" ? "a text" : JSON.stringify(text));
    this.#checkLevel(() => `"${text}"`);
    this.#list.push(x);
    this.#counts[this.#counts.length - 1]!++;
    this.#expect = "comma or ]";
    return close + 1;
  }

  #open(): void {
    const depth = this.#counts.length;
    if (depth === this.#rank) {
      throw this.#ragged("is an array, must be a number like its siblings");
    }
    if (depth === RANK_MAX) {
      throw unreadable(this.#place.path(), `is nested more than ${RANK_MAX} deep`, "shape_mismatch");
    }
    if (this.#place.depth + depth >= JSON_DEPTH_MAX) throw malformedJson(TOO_DEEP);
    this.#counts.push(0);
    this.#expect = "value or ]";
  }

  #close(): void {
    const axis = this.#counts.length - 1;
    const count = this.#counts[axis]!;
    this.#rank ??= axis + 1;
    const wanted = this.#shape[axis] ??= count;
    this.#counts.pop();
    if (count !== wanted) {
      throw this.#ragged(`has ${count} elements, must have ${wanted} like its first sibling`);
    }
    if (axis > 0) this.#counts[axis - 1]!++;
    this.#expect = "comma or ]";
  }

  /** Throws unless a number belongs here. */
  #checkLevel(show: () => string): void {
    this.#rank ??= this.#counts.length;
    if (this.#counts.length === this.#rank) return;
    const [number] = show().split(/[,\s\]]/);
    throw this.#ragged(`is ${number}, must be an array like its siblings`);
  }

  #refuse(shown: string): Error {
    if (this.#rank !== undefined && this.#counts.length < this.#rank) {
      return this.#ragged(`is ${shown}, must be an array like its siblings`);
    }
    return unreadable(this.#trail(), `is ${shown}, ${NOT_A_NUMBER}`, "invalid_number");
  }

  #ragged(problem: string): Error {
    return unreadable(this.#trail(), problem, "shape_mismatch");
  }

  /** The path of the current element. */
  #trail(): string {
    return [this.#place.path(), ...this.#counts].join(".");
  }

  #malformed(bytes: Uint8Array, at: number): Error {
    return malformedJson(`${unexpectedByte(bytes, at)} at byte ${this.#place.offset() + at}`);
  }
}

/** The numbers of a comma-separated list; undefined if it is not one, or has other values. */
function parseNumbers(bytes: Uint8Array): number[] | undefined {
  let values: unknown[];
  try {
    values = JSON.parse(`[${ASCII.decode(bytes)}]`);
  } catch {
    return undefined;
  }
  for (let i = 0; i < values.length; i++) {
    const x = values[i];
    if (typeof x !== "number") return undefined;
    if (x === Infinity || x === -Infinity) values[i] = finite(x);
  }
  return values as number[];
}

/** An infinity stands only for one that was written as "Infinity". The largest float64 is beyond float32 as well. */
function finite(x: number): number {
  return x === Infinity ? Number.MAX_VALUE : x === -Infinity ? -Number.MAX_VALUE : x;
}
