/**
 * What of a safetensors header stays the same from step to step: the entries of its tensors. Its metadata, which name
 * the iteration and the like, stand before them where the usual writers put them.
 *
 * Invariant: equal keys mean equal entries.
 */
import { createHash } from "node:crypto";

const START = new TextEncoder().encode('{"__metadata__":{');
const QUOTE = 0x22, BACKSLASH = 0x5c, OPEN = 0x7b, CLOSE = 0x7d, COMMA = 0x2c, SPACE = 0x20;

/** Below this length a header is parsed as fast as it is recognized. */
const LENGTH_MIN = 1024;

export interface HeaderKey {
  readonly key: string;
  /** A header with the same metadata and no entries. */
  readonly metadata: Uint8Array | undefined;
}

/** The key of a header; undefined if it is short, or unusual. */
export function headerKey(header: Uint8Array): HeaderKey | undefined {
  if (header.length < LENGTH_MIN) return undefined;
  let end = header.length;
  while (header[end - 1] === SPACE) end--;
  if (!START.every((byte, at) => header[at] === byte)) {
    return { key: digest(header.subarray(1, end)), metadata: undefined };
  }
  const close = closeOf(header);
  if (close === undefined || header[close + 1] !== COMMA) return undefined;
  const metadata = new Uint8Array(close + 2);
  metadata.set(header.subarray(0, close + 1));
  metadata[close + 1] = CLOSE;
  return { key: digest(header.subarray(close + 2, end)), metadata };
}

/** The place of the brace that closes an object of texts at the start. */
function closeOf(header: Uint8Array): number | undefined {
  let isText = false;
  for (let at = START.length; at < header.length; at++) {
    const byte = header[at];
    if (byte === BACKSLASH && isText) at++;
    else if (byte === QUOTE) isText = !isText;
    else if (isText) continue;
    else if (byte === CLOSE) return at;
    else if (byte === OPEN) return undefined;
  }
  return undefined;
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64");
}
