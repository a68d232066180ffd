/**
 * The bytes of a request's body as they come off the socket. Decodes nothing and bounds nothing.
 *
 * Invariant: when the iteration ends, in whatever way, the body is finished or cancelled; a body that ends before
 * its Content-Length, or with its connection, gives incomplete_body.
 */

import { StepwellError } from "../errors.ts";

export interface ChunkOptions {
  /** The Content-Length. */
  readonly declared: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Whether a chunk's memory may be used again for the next chunk. */
  readonly isRecycled: boolean;
}

/**
 * As much as Deno reads at a time by itself, and no more. A connection fills the largest buffer that it was ever read
 * with: when a later read takes less, the rest is moved up each time, and reading takes several times as long. And
 * the four copies from the socket to the arena stay in the second-level cache.
 */
const READ_BYTES = 64 << 10;
/** Up to here one call for the whole body is cheaper than a reader. */
const SMALL_BYTES_MAX = 64 << 10;

/** Content-Length; undefined when there is none. Throws malformed_header. */
export function contentLength(headers: Headers): number | undefined {
  const text = headers.get("content-length");
  if (text === null) return undefined;
  const length = /^[0-9]+$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(length)) return length;
  throw new StepwellError(
    "malformed_header",
    `Cannot read the body: its Content-Length is ${JSON.stringify(text)}`,
  );
}

/** Whether {@link wholeOf} is the way to read a body with this Content-Length. */
export function isSmall(declared: number | undefined): declared is number {
  return declared !== undefined && declared <= SMALL_BYTES_MAX;
}

/** A small body at once. Throws incomplete_body, or the signal's reason. */
export async function wholeOf(request: Request, { declared, signal }: ChunkOptions): Promise<Uint8Array> {
  const reading = request.bytes().catch(fail);
  // The read itself cannot be cancelled: after an abort it ends with its connection, and nobody waits for it.
  const whole = await (signal ? orAborted(reading, signal) : reading);
  checkLength(whole.length, declared);
  return whole;
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** A body of any size in pieces. Throws incomplete_body, or the signal's reason. */
export async function* chunksOf(request: Request, options: ChunkOptions): AsyncGenerator<Uint8Array, void> {
  let bytes = 0;
  if (!request.body) return checkLength(bytes, options.declared);
  const { signal, isRecycled } = options;
  const reader = readerOf(request.body, isRecycled);
  const abort = () => void reader.cancel(signal!.reason).catch(() => {});
  signal?.addEventListener("abort", abort);
  try {
    while (true) {
      const chunk = await reader.read().catch(fail);
      signal?.throwIfAborted();
      if (!chunk) return checkLength(bytes, options.declared);
      bytes += chunk.length;
      yield chunk;
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    await reader.cancel().catch(() => {});
  }
}

interface ChunkReader {
  read(): Promise<Uint8Array | undefined>;
  cancel(reason?: unknown): Promise<void>;
}

function readerOf(body: ReadableStream<Uint8Array<ArrayBuffer>>, isRecycled: boolean): ChunkReader {
  if (isRecycled) {
    try {
      return recyclingReader(body.getReader({ mode: "byob" }));
    } catch {
      // A body that is buffered already is no byte stream; the default reader takes any.
    }
  }
  const reader = body.getReader();
  return { read: async () => (await reader.read()).value, cancel: (reason) => reader.cancel(reason) };
}

/** One buffer goes to and fro: a 40 MB body costs no 40 MB of garbage, and its bytes stay in the cache. */
function recyclingReader(reader: ReadableStreamBYOBReader): ChunkReader {
  let buffer = new ArrayBuffer(READ_BYTES);
  return {
    async read() {
      const { value, done } = await reader.read(new Uint8Array(buffer));
      if (done) return undefined;
      buffer = value.buffer;
      return value;
    },
    cancel: (reason) => reader.cancel(reason),
  };
}

function checkLength(bytes: number, declared: number | undefined): void {
  if (declared !== undefined && bytes < declared) throw incomplete(`${bytes} of ${declared} bytes came`);
}

function fail(error: unknown): never {
  throw incomplete(`its connection broke (${error instanceof Error ? error.message : error})`);
}

function incomplete(problem: string): StepwellError {
  return new StepwellError("incomplete_body", `Cannot read the body: ${problem}`);
}
