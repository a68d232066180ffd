/**
 * Finds the place where a text is not valid JSON. `JSON.parse` is the parser; this scanner reports what it does not:
 * the place of the mistake, a repeated key of an object (`JSON.parse` silently keeps the last value), and nesting
 * that is too deep.
 *
 * Invariant: for a text without repeated keys and deep nesting, no fault is found exactly if `JSON.parse` accepts the
 * text. The time is proportional to the text.
 */

import { atOnce } from "../slices.ts";
import { JSON_DEPTH_MAX, TOO_DEEP } from "./json_fault_error.ts";

export interface JsonFault {
  /** UTF-16 index into the text. */
  readonly offset: number;
  /** What is wrong there, as in `unexpected "x"`. */
  readonly problem: string;
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const LITERAL = /true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** The first fault of `text` as JSON, including repeated keys; undefined if it is valid. */
export function findJsonFault(text: string): JsonFault | undefined {
  return atOnce(findingJsonFault(text));
}

/** Members of the outermost object: the names, and where each value begins and ends, with the space around it. */
export interface Members {
  readonly names: string[];
  readonly begins: number[];
  readonly ends: number[];
}

/** Bytes that are scanned in one piece, and how long a byte takes. */
const PIECE = 16 * 1024, BYTE_UNITS = 60;

/** The same in pieces, and finds the members of the outermost object. */
export function* findingJsonFault(
  text: string,
  members?: Members,
): Generator<number, JsonFault | undefined> {
  let pieceEnd = PIECE;
  /** The keys so far of each open object; null for an open array. */
  const open: (Set<string> | null)[] = [];
  let at = skipSpace(text, 0);
  let expect: "value" | "value or ]" | "key" | "key or }" | "comma or end" = "value";
  while (expect !== "comma or end" || open.length > 0) {
    if (at > pieceEnd) {
      yield BYTE_UNITS * (at - pieceEnd + PIECE);
      pieceEnd = at + PIECE;
    }
    const char = text[at];
    if (expect === "key" || expect === "key or }") {
      if (expect === "key or }" && char === "}") {
        open.pop();
        at++;
        expect = "comma or end";
      } else {
        const end = stringEnd(text, at);
        if (typeof end !== "number") return end;
        const keys = open[open.length - 1]!;
        const letters = text.slice(at + 1, end - 1);
        const key = letters.includes("\\") ? JSON.parse(`"${letters}"`) as string : letters;
        if (keys.has(key)) return { offset: at, problem: `repeated key ${JSON.stringify(key)}` };
        keys.add(key);
        at = skipSpace(text, end);
        if (text[at] !== ":") return unexpected(text, at);
        at++;
        expect = "value";
        if (members && open.length === 1) {
          members.names.push(key);
          members.begins.push(at);
        }
      }
    } else if (expect === "comma or end") {
      const isObject = open[open.length - 1] !== null;
      if (members && isObject && open.length === 1) members.ends.push(at);
      if (char === ",") expect = isObject ? "key" : "value";
      else if (char === (isObject ? "}" : "]")) open.pop();
      else return unexpected(text, at);
      at++;
    } else if (expect === "value or ]" && char === "]") {
      open.pop();
      at++;
      expect = "comma or end";
    } else if (char === "{" || char === "[") {
      if (open.length === JSON_DEPTH_MAX) return { offset: at, problem: TOO_DEEP };
      open.push(char === "{" ? new Set() : null);
      at++;
      expect = char === "{" ? "key or }" : "value or ]";
    } else {
      const end = char === '"' ? stringEnd(text, at) : numberEnd(text, at) || skip(LITERAL, text, at);
      if (typeof end !== "number") return end;
      if (end === 0) return unexpected(text, at);
      at = end;
      expect = "comma or end";
    }
    at = skipSpace(text, at);
  }
  return at < text.length ? unexpected(text, at) : undefined;
}

function skipSpace(text: string, at: number): number {
  for (;; at++) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at;
  }
}

/** The end of a number; 0 if there is none. Most are plain integers, which need no pattern. */
function numberEnd(text: string, at: number): number {
  const isDigit = (code: number) => code >= 0x30 && code <= 0x39;
  let end = at;
  while (isDigit(text.charCodeAt(end))) end++;
  const next = text.charCodeAt(end);
  const isPlain = end > at && text.charCodeAt(at) !== 0x30 && next !== 0x2e && (next | 0x20) !== 0x65;
  return isPlain ? end : skip(NUMBER, text, at);
}

/** The end of a sticky pattern's match at `at`; 0 if it does not match there. */
function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  pattern.test(text);
  return pattern.lastIndex;
}

function stringEnd(text: string, at: number): number | JsonFault {
  if (text[at] !== '"') return unexpected(text, at);
  for (let i = at + 1; i < text.length;) {
    const code = text.charCodeAt(i);
    if (code === 0x22) return i + 1;
    if (code < 0x20) return unexpected(text, i);
    if (code === 0x5c) {
      const end = skip(ESCAPE, text, i);
      if (end === 0) return { offset: i, problem: "unknown escape" };
      i = end;
    } else i++;
  }
  return unexpected(text, text.length);
}

function unexpected(text: string, offset: number): JsonFault {
  const codePoint = text.codePointAt(offset);
  if (codePoint === undefined) return { offset, problem: "unexpected end" };
  return { offset, problem: `unexpected ${JSON.stringify(String.fromCodePoint(codePoint))}` };
}

/** A fault in words: `unexpected "]" at line 2, column 7 (offset 19)`. */
export function showJsonFault(text: string, fault: JsonFault): string {
  const lineStart = text.lastIndexOf("\n", fault.offset - 1) + 1;
  let line = 1;
  for (let i = text.indexOf("\n"); i >= 0 && i < lineStart; i = text.indexOf("\n", i + 1)) line++;
  return `${fault.problem} at line ${line}, column ${fault.offset - lineStart + 1} (offset ${fault.offset})`;
}
