/**
 * The headers of files that the service wrote for itself (snapshot_source.ts), taken apart without a look at their
 * entries: those follow from the metadata.
 *
 * Invariant: a header that is not recognized is left to the reader of all safetensors files.
 */
import { Buffer } from "node:buffer";
import { findingJsonFault } from "../../wire/json_fault.ts";
import { METADATA } from "../../wire/safetensors_header.ts";
import type { RunLayout } from "./run_layout.ts";

const START = Buffer.from(`{"${METADATA}":{"`);
const QUOTE = 0x22, COMMA = 0x2c, BRACE = 0x7d, SPACE = 0x20;

export interface OwnHeader {
  readonly metadata: ReadonlyMap<string, string>;
  /** What follows the metadata. */
  readonly rest: Uint8Array;
}

/** How long it takes to look for the end of the metadata and to decode them, for each byte in nanoseconds. */
const BYTE_UNITS = 3;

/**
 * In pieces. Undefined: the metadata are not the first entry, or not written as the service writes them. `isStrict`: who
 * wrote them is not known, so a name may be there twice.
 */
export function* readingMetadata(
  header: Uint8Array,
  { isStrict = false }: { readonly isStrict?: boolean } = {},
): Generator<number, OwnHeader | undefined> {
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.length);
  if (!bytes.subarray(0, START.length).equals(START)) return undefined;
  const end = metadataEnd(header);
  if (end < 0) return undefined;
  yield BYTE_UNITS * end;
  let members: Readonly<Record<string, unknown>>;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(START.length - 2, end));
    yield BYTE_UNITS * end;
    if (isStrict && (yield* findingJsonFault(text))) return undefined;
    members = JSON.parse(text);
  } catch {
    return undefined;
  }
  yield BYTE_UNITS * end;
  const metadata = Object.entries(members);
  if (!metadata.every((entry): entry is [string, string] => typeof entry[1] === "string")) return undefined;
  return { metadata: new Map(metadata), rest: bytes.subarray(end) };
}

/**
 * Where the metadata end: after the first `"}` that `,"` follows. In a string of them, the second quotation mark would be
 * escaped. (`Buffer.indexOf` of the four takes six times as long.)
 */
function metadataEnd(header: Uint8Array): number {
  let at = header.indexOf(BRACE);
  while (at >= 0 && !(header[at - 1] === QUOTE && header[at + 1] === COMMA && header[at + 2] === QUOTE)) {
    at = header.indexOf(BRACE, at + 1);
  }
  return at < 0 ? -1 : at + 1;
}

/** Whether the rest of a header has exactly the entries of a layout. */
export function areEntries(rest: Uint8Array, { entries }: RunLayout): boolean {
  const bytes = Buffer.from(rest.buffer, rest.byteOffset, rest.length);
  // After the comma.
  let at = 1;
  for (const part of entries) {
    if (!bytes.subarray(at, at += part.length).equals(part)) return false;
  }
  return bytes[at] === BRACE && bytes.subarray(at + 1).every((byte) => byte === SPACE);
}
