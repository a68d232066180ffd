/**
 * Reads a body as JSON: a short one at once, a longer one as its bytes arrive.
 */

import { nextTurn } from "../slices.ts";
import { malformedJson } from "./json_fault_error.ts";
import type { JsonLimits } from "./json_limits.ts";
import { joined } from "./joined.ts";
import { JsonReader } from "./json_reader.ts";
import { parseJson } from "./parse_json.ts";
import { readBody, type ReadBodyOptions } from "./read_body.ts";

/** Up to this size, `JSON.parse` of the whole text is faster and holds nobody up. */
export const SHORT_BYTES_MAX = 64 << 10;

/** It takes some 5 to 10 ms to parse if it has numbers, and 30 if it has many small objects. */
const SLICE_BYTES = 256 << 10;

export interface ReadJsonOptions extends ReadBodyOptions {
  readonly limits: () => JsonLimits;
  /** Called before more than a short text is taken: waits for the memory of the whole. */
  readonly onLong?: () => Promise<void>;
}

/** Shared: it has no state between whole texts. */
const UTF8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Reads the body into the value that `JSON.parse` gives; in a longer body, tensors are {@link NestedNumbers}. Options
 * and errors as in {@link readBody}; malformed_json, whose message gives the place of the fault; the errors of
 * {@link JsonReader}.
 */
export async function readJson(request: Request, options: ReadJsonOptions): Promise<unknown> {
  let short: Uint8Array[] = [];
  let bytes = 0;
  let reader: JsonReader | undefined;
  await readBody(request, { sliceBytes: SLICE_BYTES, ...options }, (chunk) => {
    bytes += chunk.length;
    if (reader) return reader.write(chunk);
    // The memory of a chunk is used again.
    if (bytes <= SHORT_BYTES_MAX) return void short.push(chunk.slice());
    return begin(chunk);
  });
  async function begin(chunk: Uint8Array): Promise<void> {
    await options.onLong?.();
    reader = new JsonReader(options.limits());
    for (const part of short) reader.write(part);
    short = [];
    reader.write(chunk);
  }
  if (!reader) return parseJson(textOf(short));
  // What is made of a long body takes a turn of its own: those of several bodies do not add up.
  await nextTurn();
  return reader.close();
}

function textOf(parts: readonly Uint8Array[]): string {
  const [first] = parts;
  try {
    return UTF8.decode(parts.length === 1 ? first : joined(parts));
  } catch {
    throw malformedJson("it is not UTF-8");
  }
}
