/**
 * Decompresses request bodies. `DecompressionStream` is not used, because it emits the whole expansion of a chunk at
 * once (455 bytes of brotli: 300 MB), while node:zlib emits pieces of bounded size and waits until each is consumed.
 *
 * Invariant: exactly the whole body is decoded; a body that is cut off or followed by other bytes is refused.
 */

import zlib from "node:zlib";
import type { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { StepwellError } from "../errors.ts";
import { nextTurn } from "../slices.ts";
import { ZstdFrame } from "./zstd_frame.ts";

const PIECE_BYTES_MAX = 256 << 10;
/** A window of 8 MiB, the size that RFC 9659 guarantees to senders of zstd. */
const ZSTD_WINDOW_LOG_MAX = 23;
/**
 * A brotli decoder fills its window, of up to 16 MiB, before it gives the first piece of it: some 40 ms. Decoders take
 * turns for that, or those of many bodies would add up.
 */
const BROTLI_WINDOW_PIECES = (16 << 20) / PIECE_BYTES_MAX;
/** A frame costs some microseconds and may be as short as 9 bytes; senders that split a body use large frames. */
const ZSTD_FRAMES_MAX = 1024;

/** A node:zlib stream; `bytesWritten` counts the input that it has consumed. */
type Decoder = Transform & { readonly bytesWritten: number };

const DECODERS: ReadonlyMap<string, () => Decoder> = new Map<string, () => Decoder>([
  ["gzip", () => zlib.createGunzip({ chunkSize: PIECE_BYTES_MAX })],
  ["deflate", () => zlib.createInflate({ chunkSize: PIECE_BYTES_MAX })],
  ["br", () => zlib.createBrotliDecompress({ chunkSize: PIECE_BYTES_MAX })],
  ["zstd", () =>
    zlib.createZstdDecompress({
      chunkSize: PIECE_BYTES_MAX,
      params: { [zlib.constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX },
    })],
]);

/** The memory of a decoder: its window, as large as a sender may ask for, and its pieces. */
export const DECODER_BYTES: Readonly<Record<ContentEncoding, number>> = {
  gzip: 1 << 20,
  deflate: 1 << 20,
  br: 17 << 20,
  zstd: 9 << 20,
};

export type ContentEncoding = "gzip" | "deflate" | "br" | "zstd";

/** The encoding of a body; undefined for none. Throws unsupported_media_type for an unknown one and for several. */
export function contentEncoding(headers: Headers): ContentEncoding | undefined {
  const text = headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  const encoding = text === "x-gzip" ? "gzip" : text;
  if (encoding === "" || encoding === "identity") return undefined;
  if (DECODERS.has(encoding)) return encoding as ContentEncoding;
  const message = `Cannot read the body: its Content-Encoding is ${JSON.stringify(text)}, ` +
    `must be one of identity, ${[...DECODERS.keys()].join(", ")}, and only one`;
  throw new StepwellError("unsupported_media_type", message);
}

/**
 * Decodes `source` and passes every decoded piece (at most 256 KiB) to `onPiece`, which may throw to stop.
 * The chunks of `source` must not be reused. Errors: malformed_encoding; what `source` and `onPiece` throw.
 */
export async function decode(
  source: AsyncIterable<Uint8Array>,
  { encoding, onPiece }: { encoding: ContentEncoding; onPiece: (piece: Uint8Array) => void | Promise<void> },
): Promise<void> {
  const decoder = DECODERS.get(encoding)!();
  /** The first error that is not the decoder's own. */
  let foreign: { error: unknown } | undefined;
  let encodedBytes = 0;
  async function* count(chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      encodedBytes += chunk.length;
      yield chunk;
    }
  }
  async function* feed() {
    const counted = count(source);
    try {
      if (encoding === "br") await nextTurn();
      yield* encoding === "zstd" ? splitFrames(counted) : counted;
    } catch (error) {
      foreign ??= { error };
      throw error;
    }
    // The brotli decoder does not report cut-off input either, but consumes this byte only if the stream is cut off.
    if (encoding === "br") yield Uint8Array.of(0);
  }
  async function drain(pieces: AsyncIterable<Uint8Array>) {
    let pieceCount = 0;
    for await (const piece of pieces) {
      try {
        if (encoding === "br" && ++pieceCount % BROTLI_WINDOW_PIECES === 0) await nextTurn();
        const wait = onPiece(piece);
        if (wait) await wait;
      } catch (error) {
        foreign ??= { error };
        throw error;
      }
    }
  }
  try {
    await pipeline(feed, decoder, drain);
  } catch (error) {
    if (foreign) throw foreign.error;
    throw malformed(encoding, (error as Error).message);
  }
  if (decoder.bytesWritten > encodedBytes) throw malformed(encoding, "it is cut off");
  if (decoder.bytesWritten < encodedBytes) throw malformed(encoding, "bytes follow its end");
}

/**
 * Cuts chunks at the ends of zstd frames: the decoder begins a new frame only with a new chunk and drops the rest of
 * the current one. Also reports cut-off input, which the decoder does not.
 */
async function* splitFrames(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let frame = new ZstdFrame();
  let frameCount = 1;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length;) {
      if (frame.isComplete) {
        if (++frameCount > ZSTD_FRAMES_MAX) throw malformed("zstd", `it has over ${ZSTD_FRAMES_MAX} frames`);
        frame = new ZstdFrame();
      }
      const bytes = frame.walk(chunk.subarray(at));
      yield chunk.subarray(at, at + bytes);
      at += bytes;
    }
  }
  if (!frame.isComplete) throw malformed("zstd", "it is cut off");
}

function malformed(encoding: ContentEncoding, problem: string): StepwellError {
  return new StepwellError("malformed_encoding", `Cannot decompress the body as ${encoding}: ${problem}`);
}
