/**
 * Parses a JSON text that is a short body, or comes from a header or a field. `JSON.parse` does the work for a short
 * one; this adds what it does not check: names that an object has twice, nesting deeper than 64, and the place of a fault.
 *
 * Every text of a client that is not read by json_reader.ts is parsed here.
 */

import { atOnce } from "../slices.ts";
import { findJsonFault, showJsonFault } from "./json_fault.ts";
import type { JsonLimits } from "./json_limits.ts";
import { JsonReader } from "./json_reader.ts";
import { JSON_DEPTH_MAX, malformedJson } from "./json_fault_error.ts";

const SHORT_LETTERS_MAX = 64 << 10;
/** Bytes of a long text that are read at a time, and how long each takes. */
const PIECE_BYTES = 64 << 10, BYTE_UNITS = 30;
const LIMITS = { plainBytesMax: 4 << 20, valuesMax: 500_000, namesMax: 100_000 };

/** Throws malformed_json with the place of the fault, and body_too_large for more than `limits`. */
export function parseJson(text: string, limits: JsonLimits = LIMITS): unknown {
  return atOnce(parsingJson(text, limits));
}

/** As {@link parseJson}, in pieces. */
export function* parsingJson(text: string, limits: JsonLimits): Generator<number, unknown> {
  if (text === "") throw malformedJson("it is empty");
  return text.length > SHORT_LETTERS_MAX ? yield* parsingLong(text, limits) : parseShort(text);
}

function parseShort(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw faultOf(text) ?? malformedJson("the parser refuses it");
  }
  if (!isClear(text, value)) {
    const fault = faultOf(text);
    if (fault) throw fault;
  }
  return value;
}

/** A long text may be anything: it is read with bounds on what it becomes. */
function* parsingLong(text: string, limits: JsonLimits): Generator<number, unknown> {
  const reader = new JsonReader(limits), bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    const piece = bytes.subarray(at, at + PIECE_BYTES);
    reader.write(piece);
    yield BYTE_UNITS * piece.length;
  }
  return reader.close();
}

/** The value of a text, or undefined if {@link parseJson} refuses it. */
export function tryParseJson(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

function faultOf(text: string): Error | undefined {
  const fault = findJsonFault(text);
  return fault && malformedJson(showJsonFault(text, fault));
}

/**
 * Whether the value shows that its text has no fault, by counts that cost next to nothing: a name that is there twice
 * has two colons and is counted once; what is nested where {@link look} does not look has a bracket or a colon that is
 * not counted. False for a good text with such letters in its strings.
 */
function isClear(text: string, value: unknown): boolean {
  const seen: Seen = { arrays: 0, names: 0, isDeep: false };
  look(value, seen, 0);
  return !seen.isDeep && countLetter(text, ":") === seen.names && countLetter(text, "[") === seen.arrays;
}

function countLetter(text: string, letter: string): number {
  let count = 0;
  for (let at = text.indexOf(letter); at >= 0; at = text.indexOf(letter, at + 1)) count++;
  return count;
}

interface Seen {
  arrays: number;
  names: number;
  isDeep: boolean;
}

/** Counts the arrays and names of a value. An array that begins with a number is not looked into. */
function look(value: unknown, seen: Seen, depth: number): void {
  if (typeof value !== "object" || value === null) return;
  if (depth === JSON_DEPTH_MAX) seen.isDeep = true;
  if (seen.isDeep) return;
  if (Array.isArray(value)) {
    seen.arrays++;
    if (typeof value[0] === "number") return;
    for (let i = 0; i < value.length; i++) look(value[i], seen, depth + 1);
    return;
  }
  for (const name of Object.keys(value)) {
    seen.names++;
    look((value as Record<string, unknown>)[name], seen, depth + 1);
  }
}
