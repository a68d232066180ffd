/**
 * Parses the header of a safetensors file into checked entries. Reads no tensor bytes and leaves it to the receiver
 * which tensors to accept.
 *
 *     | N: u64 little endian | N bytes of UTF-8 JSON, space padded | tensors, without holes |
 *
 * Invariant: the entries of a parsed header tile `[0, bufferBytes)` exactly, in order, and every product of their
 * dimensions is a safe integer.
 */

import { BoundedMap } from "../../kernels/bounded_map.ts";
import { StepwellError } from "../errors.ts";
import { type Shape, showShape } from "../tensor.ts";
import { SAFETENSORS_BITS } from "./dtypes.ts";
import { atOnce } from "../slices.ts";
import { sorting } from "../sorting.ts";
import { findingJsonFault, type Members, showJsonFault } from "./json_fault.ts";

export interface SafetensorsEntry {
  readonly name: string;
  /** One of {@link SAFETENSORS_BITS}. */
  readonly dtype: string;
  readonly shape: Shape;
  /** The offset of the first byte, counted from the end of the header. */
  readonly begin: number;
  readonly bytes: number;
}

export interface SafetensorsHeader {
  /** Ordered by offset. */
  readonly entries: readonly SafetensorsEntry[];
  readonly metadata: ReadonlyMap<string, string>;
  /** The bytes of all tensors together. */
  readonly bufferBytes: number;
}

/** The limit of the format for the header of a file. */
export const HEADER_BYTES_MAX = 100_000_000;
export const METADATA = "__metadata__";
/** Shared: it has no state between whole texts. */
const UTF8 = new TextDecoder("utf-8", { fatal: true });
const ENTRY_KEYS = new Set(["dtype", "shape", "data_offsets"]);

export function malformed(problem: string): StepwellError {
  return new StepwellError("malformed_safetensors", `Cannot read the safetensors body: ${problem}`);
}

/** Parses the N header bytes. Throws malformed_safetensors. */
export function parseHeader(bytes: Uint8Array): SafetensorsHeader {
  return atOnce(parsingHeader(bytes));
}

/** How long an entry takes. */
const ENTRY_UNITS = 5000;

/** Headers that came last, by their text: a client that trains sends the same one with every step. */
const known = new BoundedMap<string, SafetensorsHeader>(64);
/** Longer headers are not kept. */
const KNOWN_BYTES_MAX = 4096;

/** As {@link parseHeader}, in pieces. */
export function* parsingHeader(bytes: Uint8Array): Generator<number, SafetensorsHeader> {
  if (bytes[0] !== 0x7b) throw malformed("its header must begin with {");
  let text;
  try {
    text = UTF8.decode(bytes);
  } catch {
    throw malformed("its header is not UTF-8");
  }
  const found = known.get(text);
  if (found) return found;
  const { names, begins, ends } = noMembers();
  const fault = yield* findingJsonFault(text, { names, begins, ends });
  if (fault) throw malformed(`its header is not valid JSON: ${showJsonFault(text, fault)}`);
  const entries: SafetensorsEntry[] = [];
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const [place, name] of names.entries()) {
    if (!name.isWellFormed()) throw malformed(`the name ${JSON.stringify(name)} is not Unicode`);
    const value = text.slice(begins[place], ends[place]);
    if (name === METADATA) metadata = yield* parsingMetadata(value);
    else entries.push(parseEntry(name, JSON.parse(value)));
    yield ENTRY_UNITS;
  }
  const ordered = yield* sorting(entries, (a, b) => a.begin - b.begin || a.bytes - b.bytes);
  const header = { entries: ordered, metadata, bufferBytes: checkTiling(ordered) };
  if (bytes.length <= KNOWN_BYTES_MAX) known.set(text, header);
  return header;
}

function* parsingMetadata(text: string): Generator<number, ReadonlyMap<string, string>> {
  const { names, begins, ends } = noMembers();
  if (!text.trimStart().startsWith("{")) throw malformed(`${METADATA} must be an object of strings`);
  yield* findingJsonFault(text, { names, begins, ends });
  const metadata = new Map<string, string>();
  for (const [place, key] of names.entries()) {
    const value: unknown = JSON.parse(text.slice(begins[place], ends[place]));
    if (typeof value !== "string") throw malformed(`${METADATA}.${key} must be a string`);
    metadata.set(key, value);
    yield ENTRY_UNITS;
  }
  return metadata;
}

const noMembers = (): Members => ({ names: [], begins: [], ends: [] });

function parseEntry(name: string, value: unknown): SafetensorsEntry {
  const wrong = (problem: string) => malformed(`the entry of ${JSON.stringify(name)} ${problem}`);
  if (!isObject(value)) throw wrong("must be an object");
  const { dtype, shape, data_offsets: offsets } = value;
  for (const key in value) {
    if (!ENTRY_KEYS.has(key)) throw wrong(`has an unknown key ${JSON.stringify(key)}`);
  }
  const bits = typeof dtype === "string" ? SAFETENSORS_BITS.get(dtype) : undefined;
  if (bits === undefined) throw wrong(`has the unknown dtype ${JSON.stringify(dtype)}`);
  if (!isSizes(shape)) throw wrong("must have a shape of integers from 0");
  if (!isSizes(offsets) || offsets.length !== 2) throw wrong("must have data_offsets of two integers from 0");
  const bytes = tensorBytes(shape, bits);
  if (bytes === undefined) {
    throw wrong(`has ${dtype} ${showShape(shape)}, which is not a whole number of bytes below 2^53`);
  }
  const [begin, end] = offsets as [number, number];
  if (end - begin !== bytes) {
    throw wrong(`has ${end - begin} bytes, must have ${bytes} for ${dtype} ${showShape(shape)}`);
  }
  return { name, dtype: dtype as string, shape, begin, bytes };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0 && !Object.is(n, -0));
}

/** Undefined if a product of dimensions overflows, even next to a zero dimension, or the bits do not fill bytes. */
function tensorBytes(shape: Shape, bits: number): number | undefined {
  let product = bits;
  let isEmpty = false;
  for (const n of shape) {
    if (n === 0) isEmpty = true;
    else product *= n;
    if (!Number.isSafeInteger(product)) return undefined;
  }
  if (isEmpty) return 0;
  return product % 8 === 0 ? product / 8 : undefined;
}

/** Returns the end of entries that are ordered by offset. Throws unless each begins at the end of the one before. */
function checkTiling(entries: readonly SafetensorsEntry[]): number {
  let end = 0;
  for (const { name, begin, bytes } of entries) {
    if (begin !== end) {
      throw malformed(`${JSON.stringify(name)} begins at byte ${begin}, must begin at ${end}`);
    }
    end += bytes;
  }
  return end;
}
