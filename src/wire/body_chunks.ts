/**
 * Reads the bytes of a request's body from the socket. Decodes nothing and limits nothing.
 *
 * Invariant: however the iteration ends, the body is finished or cancelled. A body that ends before its
 * Content-Length, or whose connection breaks, gives incomplete_body.
 */

import { StepwellError } from "../errors.ts";

export interface ChunkOptions {
  /** The Content-Length. */
  readonly declared: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Called with the bytes of each piece that comes off the socket. */
  readonly onReceived?: ((bytes: number) => void) | undefined;
}

/**
 * The size of Deno's own reads. A connection fills the largest buffer that it was ever read with: if later reads take
 * less, the rest is moved up each time, and reading takes several times as long. At this size the four copies from
 * the socket to the arena also stay in the second-level cache.
 */
const READ_BYTES = 64 << 10;
/** Up to this size one call for the whole body is cheaper than a reader. */
const SMALL_BYTES_MAX = 64 << 10;

/** The Content-Length; undefined if there is none. Throws malformed_header. */
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

/** Whether a body with this Content-Length should be read with {@link wholeOf}. */
export function isSmall(declared: number | undefined): declared is number {
  return declared !== undefined && declared <= SMALL_BYTES_MAX;
}

/** Reads a small body at once. Throws incomplete_body, or the signal's reason. */
export async function wholeOf(request: Request, { declared, signal }: ChunkOptions): Promise<Uint8Array> {
  const reading = request.bytes().catch(fail);
  // The read itself cannot be cancelled: after an abort it ends with its connection, and nothing waits for it.
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

/**
 * Passes a body of any size to `onChunk` in pieces. A piece is valid only until the call has ended, or the promise
 * that it returns: its memory is reused. Throws incomplete_body, the signal's reason, or what `onChunk` throws.
 */
export async function eachChunk(
  request: Request,
  options: ChunkOptions,
  onChunk: (chunk: Uint8Array) => void | Promise<void>,
): Promise<void> {
  // Not a generator: its awaits and allocations would add a tenth to the time of reading a piece.
  await using body = new OpenBody(request, { ...options, isRecycled: true });
  for (let chunk = await body.read(); chunk; chunk = await body.read()) {
    const wait = onChunk(chunk);
    if (wait) await wait;
  }
}

/** Yields a body of any size in pieces that may be kept. Throws incomplete_body, or the signal's reason. */
export async function* chunksOf(request: Request, options: ChunkOptions): AsyncGenerator<Uint8Array, void> {
  await using body = new OpenBody(request, { ...options, isRecycled: false });
  for (let chunk = await body.read(); chunk; chunk = await body.read()) yield chunk;
}

/** A request whose server reads its body into the reader's own memory, past the stream. */
export interface DirectlyRead {
  /** Fills `view`, or a part of it, and returns the number of bytes; 0 at the end. */
  readonly readBody: (view: Uint8Array<ArrayBuffer>) => Promise<number>;
}

/** A body that is being read and can be aborted by a signal. */
class OpenBody implements AsyncDisposable {
  readonly #declared: number | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #onReceived: ((bytes: number) => void) | undefined;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  readonly #recycling: ReadableStreamBYOBReader | undefined;
  readonly #readBody: DirectlyRead["readBody"] | undefined;
  /** Transferred to each read and back, so that a 40 MB body leaves no 40 MB of garbage and stays in the cache. */
  #buffer = new ArrayBuffer(0);
  #bytes = 0;

  constructor(
    request: Request & Partial<DirectlyRead>,
    options: ChunkOptions & { readonly isRecycled: boolean },
  ) {
    this.#declared = options.declared;
    this.#signal = options.signal;
    this.#onReceived = options.onReceived;
    if (options.isRecycled && request.readBody) {
      this.#readBody = request.readBody;
      this.#buffer = new ArrayBuffer(READ_BYTES);
      return;
    }
    const { body } = request;
    if (body && options.isRecycled) this.#recycling = recyclingReader(body);
    if (this.#recycling) this.#buffer = new ArrayBuffer(READ_BYTES);
    else this.#reader = body?.getReader();
    this.#signal?.addEventListener("abort", this.#abort);
  }

  /** The next piece; undefined at the end. */
  async read(): Promise<Uint8Array | undefined> {
    if (this.#readBody) return await this.#readDirectly(this.#readBody);
    let result;
    try {
      result = await (this.#recycling?.read(new Uint8Array(this.#buffer)) ?? this.#reader?.read());
    } catch (error) {
      fail(error);
    }
    this.#signal?.throwIfAborted();
    const value = result?.done ? undefined : result?.value;
    if (!value) {
      checkLength(this.#bytes, this.#declared);
      return undefined;
    }
    this.#bytes += value.length;
    this.#onReceived?.(value.length);
    this.#buffer = value.buffer as ArrayBuffer;
    return value;
  }

  async #readDirectly(readBody: DirectlyRead["readBody"]): Promise<Uint8Array | undefined> {
    const buffer = new Uint8Array(this.#buffer),
      reading = readBody(buffer).catch(fail),
      signal = this.#signal;
    // As in wholeOf: after an abort the read ends with its connection.
    const count = await (signal ? orAborted(reading, signal) : reading);
    signal?.throwIfAborted();
    if (count === 0) {
      checkLength(this.#bytes, this.#declared);
      return undefined;
    }
    this.#bytes += count;
    this.#onReceived?.(count);
    return buffer.subarray(0, count);
  }

  readonly #abort = () => void this.#cancel(this.#signal!.reason);

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal?.removeEventListener("abort", this.#abort);
    await this.#cancel();
  }

  async #cancel(reason?: unknown): Promise<void> {
    await (this.#recycling ?? this.#reader)?.cancel(reason).catch(() => {});
  }
}

function recyclingReader(body: ReadableStream): ReadableStreamBYOBReader | undefined {
  try {
    return body.getReader({ mode: "byob" });
  } catch {
    // An already buffered body is not a byte stream; the default reader accepts any stream.
    return undefined;
  }
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
