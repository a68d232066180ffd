/**
 * Reads request bodies: counts, decompresses and limits them, and never leaves one half read. Knows no format but
 * JSON.
 *
 * Invariant: at most `bytesMax` decoded bytes are passed on, and however reading ends, the request's stream is
 * finished or cancelled.
 */

import { StepwellError } from "../errors.ts";
import { chunksOf, contentLength, eachChunk, isSmall, wholeOf } from "./body_chunks.ts";
import { contentEncoding, decode } from "./content_encoding.ts";
import { findJsonFault, showJsonFault } from "./json_fault.ts";

export interface ReadBodyOptions {
  /** The most decoded bytes to accept. */
  readonly bytesMax: number;
  /** Ends the reading; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/** The longest JSON text: V8 has no longer strings. */
const JSON_BYTES_MAX = 2 ** 29 - 1024;

/** Shared: it has no state between whole texts. */
const UTF8 = new TextDecoder("utf-8", { fatal: true });

/** The decoded length of the body, if the headers give it. Throws malformed_header, unsupported_media_type. */
export function decodedLength(headers: Headers): number | undefined {
  return contentEncoding(headers) === undefined ? contentLength(headers) : undefined;
}

/**
 * Passes the decoded body to `onChunk` in pieces and returns its length in bytes. A piece is valid only during the
 * call, because its memory is reused. `onChunk` may throw to stop.
 *
 * Errors: body_too_large, as soon as the headers or the bytes show it; incomplete_body; malformed_encoding;
 * malformed_header; unsupported_media_type; the signal's reason; what `onChunk` throws.
 */
export async function readBody(
  request: Request,
  { bytesMax, signal }: ReadBodyOptions,
  onChunk: (chunk: Uint8Array) => void,
): Promise<number> {
  let bytes = 0;
  const onPiece = (piece: Uint8Array) => {
    bytes += piece.length;
    if (bytes > bytesMax) throw tooLarge(`over ${bytesMax}`, bytesMax);
    onChunk(piece);
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
  const chunkOptions = { declared, signal };
  if (encoding) {
    // No encoder adds more than this. Without a limit, an endless body that decodes to nothing would be read forever.
    const encodedBytesMax = bytesMax + Math.ceil(bytesMax / 64) + 1024;
    const source = bounded(chunksOf(request, chunkOptions), encodedBytesMax);
    await decode(source, { encoding, onPiece });
  } else if (isSmall(declared)) onPiece(await wholeOf(request, chunkOptions));
  else await eachChunk(request, chunkOptions, onPiece);
  return bytes;
}

/**
 * Reads the body with `JSON.parse`. Options and errors as in {@link readBody}, and malformed_json, whose message
 * gives the place of the fault.
 */
export async function readJson(request: Request, options: ReadBodyOptions): Promise<unknown> {
  const bytesMax = Math.min(options.bytesMax, JSON_BYTES_MAX);
  let stream: TextDecoder | undefined;
  let text = "";
  await readBody(request, { ...options, bytesMax }, (chunk) => {
    // Decoding as a stream saves a second copy of a large body, but takes longer than parsing for a small one.
    const isWhole = text === "" && chunk.length === decodedLength(request.headers);
    if (isWhole) text = decodeText(UTF8, chunk);
    else text += decodeText(stream ??= new TextDecoder("utf-8", { fatal: true }), chunk, { stream: true });
  });
  if (stream) text += decodeText(stream);
  if (text === "") throw malformedJson("it is empty");
  try {
    return JSON.parse(text);
  } catch {
    const fault = findJsonFault(text);
    throw malformedJson(fault ? showJsonFault(text, fault) : "the parser refuses it");
  }
}

function decodeText(decoder: TextDecoder, chunk?: Uint8Array, options?: TextDecodeOptions): string {
  try {
    return decoder.decode(chunk, options);
  } catch {
    throw malformedJson("it is not UTF-8");
  }
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

function malformedJson(problem: string): StepwellError {
  return new StepwellError("malformed_json", `Cannot parse the body as JSON: ${problem}`);
}
