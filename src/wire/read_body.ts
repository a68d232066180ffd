/**
 * Reads request bodies: counts, decompresses and limits them, and never leaves one half read. Knows no format.
 *
 * Invariant: at most `bytesMax` decoded bytes are passed on, and however reading ends, the request's stream is
 * finished or cancelled.
 */

import { StepwellError } from "../errors.ts";
import { chunksOf, contentLength, eachChunk, isSmall, wholeOf } from "./body_chunks.ts";
import { contentEncoding, decode } from "./content_encoding.ts";
import { nextTurn } from "../slices.ts";

export interface ReadBodyOptions {
  /** The most decoded bytes to accept. */
  readonly bytesMax: number;
  /** Ends the reading; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of each piece that comes off the socket, unless the body is small. */
  readonly onReceived?: ((bytes: number) => void) | undefined;
  /** The decoded bytes after which others run. */
  readonly sliceBytes?: number;
}

/** The tensor bytes that are copied in some milliseconds. */
const SLICE_BYTES = 16 << 20;

/** The decoded length of the body, if the headers give it. Throws malformed_header, unsupported_media_type. */
export function decodedLength(headers: Headers): number | undefined {
  return contentEncoding(headers) === undefined ? contentLength(headers) : undefined;
}

/**
 * Passes the decoded body to `onChunk` in pieces and returns its length in bytes. A piece is valid only until
 * the call has ended, or the promise that it returns: its memory is reused. `onChunk` may throw to stop.
 *
 * Errors: body_too_large, as soon as the headers or the bytes show it; incomplete_body; malformed_encoding;
 * malformed_header; unsupported_media_type; the signal's reason; what `onChunk` throws.
 */
export async function readBody(
  request: Request,
  { bytesMax, signal, onReceived, sliceBytes = SLICE_BYTES }: ReadBodyOptions,
  onChunk: (chunk: Uint8Array) => void | Promise<void>,
): Promise<number> {
  let bytes = 0, sliceEnd = sliceBytes;
  const onPiece = (piece: Uint8Array) => {
    bytes += piece.length;
    if (bytes > bytesMax) throw tooLarge(`over ${bytesMax}`, bytesMax);
    const wait = onChunk(piece);
    if (bytes < sliceEnd) return wait;
    // Bytes that have arrived are read without a pause: without this, one body could keep all others waiting.
    sliceEnd = bytes + sliceBytes;
    return wait ? wait.then(nextTurn) : nextTurn();
  };
  let encoding;
  let declared;
  try {
    signal?.throwIfAborted();
    encoding = contentEncoding(request.headers);
    declared = contentLength(request.headers);
    if (!encoding && declared !== undefined && declared > bytesMax) throw tooLarge(`${declared}`, bytesMax);
  } catch (error) {
    await request.body?.cancel();
    throw error;
  }
  const chunkOptions = { declared, signal, onReceived };
  if (encoding) {
    // No encoder adds more than this. Without a limit, an endless body that decodes to nothing would be read forever.
    const encodedBytesMax = bytesMax + Math.ceil(bytesMax / 64) + 1024;
    const source = bounded(chunksOf(request, chunkOptions), encodedBytesMax);
    await decode(source, { encoding, onPiece });
  } else if (isSmall(declared)) {
    const wait = onPiece(await wholeOf(request, chunkOptions));
    if (wait) await wait;
  } else await eachChunk(request, chunkOptions, onPiece);
  return bytes;
}

async function* bounded(source: AsyncIterable<Uint8Array>, bytesMax: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(`encoded over ${bytesMax}`, bytesMax);
    yield chunk;
  }
}

function tooLarge(bytes: string, bytesMax: number): StepwellError {
  return new StepwellError(
    "body_too_large",
    `Cannot take the body: it has ${bytes} bytes, must have ${bytesMax} at most`,
  );
}
