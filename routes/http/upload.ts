/**
 * The places that a request's body has while it is read: among the uploads, the decoders and the parsers. It knows no
 * format.
 *
 * Invariants: every place is released, however reading ends. Places are taken in one order (decoders, parsers,
 * uploads), so that no two bodies wait for each other; and a body that waits for memory holds no upload's place.
 */
import { StepwellError } from "../../src/errors.ts";
import type { Releasable } from "../../src/releasable.ts";
import { contentLength } from "../../src/wire/body_chunks.ts";
import { contentEncoding, DECODER_BYTES } from "../../src/wire/content_encoding.ts";
import { decodedLength, type ReadBodyOptions } from "../../src/wire/read_body.ts";
import { SHORT_BYTES_MAX } from "../../src/wire/read_json.ts";
import { clientOf } from "./client.ts";
import type { AppContext, Services } from "./context.ts";
import { UploadPace } from "./upload_pace.ts";

export interface Upload<T> {
  readonly bytesMax: number;
  /** The memory that a body of so many bytes becomes, where it is kept outside of the arenas. */
  readonly weigh?: (bytes: number) => number;
  /** Calls `onLong` before it keeps more than a short body whose length was not declared. */
  readonly read: (request: Request, options: UploadOptions) => Promise<T>;
}

type UploadOptions = ReadBodyOptions & { readonly onLong: () => Promise<void> };

/** What was read, and the place of the memory that it takes. */
export interface Received<T> extends Disposable {
  readonly value: T;
}

export async function upload<T>(
  c: AppContext,
  services: Services,
  { bytesMax, weigh, read }: Upload<T>,
): Promise<Received<T>> {
  const { uploads, decoders, parsers, settings } = services;
  const request = c.req.raw;
  const declared = contentLength(request.headers), length = decodedLength(request.headers);
  c.set("bytesIn", declared ?? 0);
  // Refused before it waits for a place.
  if (length !== undefined && length > bytesMax) throw tooLarge(length, bytesMax);
  const client = clientOf(c);
  const encoding = contentEncoding(request.headers);
  using _decoder = encoding && await decoders.acquire(DECODER_BYTES[encoding], undefined, client);
  let memory: Releasable | undefined;
  let place: Releasable | undefined;
  /** A body without a declared length may become as long as the bound. */
  const bytes = length ?? bytesMax;
  try {
    const isLong = length !== undefined && length > SHORT_BYTES_MAX;
    if (isLong && weigh) memory = await parsers.acquire(weigh(bytes), undefined, client);
    place = await uploads.acquire(bytes, undefined, client);
    const isAwaited = () => uploads.waiting + decoders.waiting + parsers.waiting > 0;
    using pace = new UploadPace({ settings, declared, isAwaited });
    const onLong = async () => {
      if (memory || !weigh) return;
      place?.release();
      memory = await pace.excuse(parsers.acquire(weigh(bytes), undefined, client));
      place = await pace.excuse(uploads.acquire(bytes, undefined, client));
    };
    const { signal, received: onReceived } = pace;
    const value = await read(request, { bytesMax, signal, onReceived, onLong });
    const held = memory;
    memory = undefined;
    return { value, [Symbol.dispose]: () => held?.release() };
  } finally {
    place?.release();
    memory?.release();
  }
}

function tooLarge(length: number, bytesMax: number): StepwellError {
  return new StepwellError(
    "body_too_large",
    `Cannot read the body: it has ${length} bytes, must have at most ${bytesMax} here`,
  );
}
