/**
 * Writes answers to a client: status line, headers, and the body with its length or in chunks (RFC 9112, 6). It chooses
 * no status and no header, besides those of the connection.
 *
 * Invariant: what has been begun and cannot be ended as its head says ends the connection, so that no client takes a
 * part for the whole.
 */
import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";
import type { DirectAnswer } from "./direct.ts";

/** Heads, and answers up to about this size, leave in one write. */
const BUFFER_BYTES = 16 << 10;
/** A body of a declared length that is worth being joined with its head. */
const JOINED_BYTES_MAX = 64 << 10;

const CONTINUE = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n", "latin1");
const LAST_CHUNK = Buffer.from("0\r\n\r\n", "latin1");

export interface AnswerOptions {
  readonly method: string;
  /** Of the request's HTTP/1.x. */
  readonly minor: 0 | 1;
  /** Whether the connection stays open. */
  readonly isKept: boolean;
  /** The `Date`. */
  readonly date: string;
}

export class Outbox {
  readonly #socket: Pick<Deno.Conn, "write">;
  /** Called before each wait for the client, and after it. */
  readonly #onWait: (isWaiting: boolean) => void;
  #buffer = Buffer.allocUnsafeSlow(1024);
  /** Whether the client took something no more. */
  isBroken = false;

  constructor(socket: Pick<Deno.Conn, "write">, onWait: (isWaiting: boolean) => void) {
    this.#socket = socket;
    this.#onWait = onWait;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#onWait(true);
    let rest = bytes;
    while (rest.length > 0) {
      const count = await this.#socket.write(rest).catch((error) => {
        this.isBroken = true;
        throw error;
      });
      if (count === rest.length) break;
      rest = rest.subarray(count);
      this.#onWait(true);
    }
    this.#onWait(false);
  }

  continue(): Promise<void> {
    return this.write(CONTINUE);
  }

  /** Sends an answer that is whole already. */
  sendWhole(
    { status, fields, body }: DirectAnswer,
    { isKept, date }: Pick<AnswerOptions, "isKept" | "date">,
  ) {
    const connection = isKept ? "" : "connection: close\r\n";
    const line = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;
    return this.write(this.#encode(`${line}${fields}${connection}date: ${date}\r\n\r\n`, body));
  }

  /** Sends an answer. Returns whether the connection can stay open. Throws when it broke, and what the body throws. */
  async send(response: Response, options: AnswerOptions): Promise<boolean> {
    const { body, status } = response;
    const isBare = status === 204 || status === 304;
    if (options.method === "HEAD" || isBare || body === null) {
      await body?.cancel();
      const framing = body === null && !isBare && options.method !== "HEAD" ? "content-length: 0\r\n" : "";
      await this.write(this.#encode(headOf(response, options, { stays: options.isKept, framing })));
      return options.isKept;
    }
    const text = response.headers.get("content-length");
    if (text === null) return await this.#sendStream(response, body, options);
    const head = headOf(response, options, { stays: options.isKept, framing: "" });
    const length = Number(text);
    if (length <= JOINED_BYTES_MAX) {
      const bytes = await response.bytes();
      if (bytes.length !== length) throw wrongLength(bytes.length, length);
      await this.write(this.#encode(head, bytes));
    } else await this.#sendLong(head, body, length);
    return options.isKept;
  }

  async #sendLong(head: string, body: ReadableStream<Uint8Array>, length: number): Promise<void> {
    let sent = 0;
    await this.write(this.#encode(head));
    await eachPiece(body, async (piece) => {
      sent += piece.length;
      if (sent > length) throw wrongLength(sent, length);
      await this.write(piece);
    });
    if (sent < length) throw wrongLength(sent, length);
  }

  /** Sends a body without a declared length. One that is whole already gets its length. */
  async #sendStream(
    response: Response,
    body: ReadableStream<Uint8Array>,
    options: AnswerOptions,
  ): Promise<boolean> {
    const reader = body.getReader();
    try {
      const first = await resultNow(reader.read());
      const second = first.result?.done === false ? await resultNow(reader.read()) : first;
      const isWhole = second.result?.done === true;
      // HTTP/1.0 has no chunks: the end of the connection is that of the body.
      const isChunked = !isWhole && options.minor === 1, stays = options.isKept && (isWhole || isChunked);
      const framing = isWhole
        ? `content-length: ${first.result?.value?.length ?? 0}\r\n`
        : isChunked
        ? "transfer-encoding: chunked\r\n"
        : "";
      const head = headOf(response, options, { stays, framing });
      if (isWhole) await this.write(this.#encode(head, first.result?.value));
      else {
        await this.write(this.#encode(head));
        const ahead = first === second ? [first] : [first, second];
        for (let part = await next(reader, ahead); !part.done; part = await next(reader, ahead)) {
          if (part.value.length > 0) {
            await (isChunked ? this.#writeChunk(part.value) : this.write(part.value));
          }
        }
      }
      if (isChunked) await this.write(LAST_CHUNK);
      return stays;
    } catch (error) {
      await reader.cancel(error).catch(() => {});
      throw error;
    }
  }

  async #writeChunk(bytes: Uint8Array): Promise<void> {
    const size = `${bytes.length.toString(16)}\r\n`;
    if (bytes.length < BUFFER_BYTES) return await this.write(this.#encode(size, bytes, "\r\n"));
    await this.write(this.#encode(size));
    await this.write(bytes);
    await this.write(this.#encode("\r\n"));
  }

  /** The bytes of all parts in a row; valid until the next call. */
  #encode(head: string, body?: Uint8Array, tail = ""): Uint8Array {
    const length = head.length + (body?.length ?? 0) + tail.length;
    if (length > this.#buffer.length) {
      // A long one is not kept: most connections never send another.
      const buffer = Buffer.allocUnsafeSlow(length);
      if (length <= BUFFER_BYTES) this.#buffer = buffer;
      return fill(buffer, head, body, tail);
    }
    return fill(this.#buffer, head, body, tail);
  }
}

function fill(buffer: Buffer, head: string, body: Uint8Array | undefined, tail: string): Uint8Array {
  buffer.write(head, 0, "latin1");
  let end = head.length;
  if (body) buffer.set(body, end);
  end += body?.length ?? 0;
  if (tail !== "") buffer.write(tail, end, "latin1");
  return buffer.subarray(0, end + tail.length);
}

/** Reads a stream to its end; cancels it if `onPiece` throws. */
async function eachPiece(
  body: ReadableStream<Uint8Array>,
  onPiece: (piece: Uint8Array) => Promise<void>,
): Promise<void> {
  const reader = body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) await onPiece(part.value);
  } catch (error) {
    await reader.cancel(error).catch(() => {});
    throw error;
  }
}

type Part = ReadableStreamReadResult<Uint8Array>;

/** A read that has begun, and its result if there was nothing to wait for: a body made of one text has it at once. */
interface BegunRead {
  readonly read: Promise<Part>;
  readonly result: Part | undefined;
}

async function resultNow(read: Promise<Part>): Promise<BegunRead> {
  let result: Part | undefined;
  read.then((part) => result = part, () => {});
  for (let turn = 0; turn < 3; turn++) await undefined;
  return { read, result };
}

/** The next part of a stream whose first reads have begun already. */
function next(reader: ReadableStreamDefaultReader<Uint8Array>, ahead: BegunRead[]): Promise<Part> {
  return ahead.shift()?.read ?? reader.read();
}

const wrongLength = (bytes: number, declared: number) =>
  new Error(`The answer has ${bytes} bytes, its Content-Length is ${declared}`);

/** What the server says of the connection, whatever the app's answer says. */
const OWN = new Set(["connection", "date", "transfer-encoding", "keep-alive"]);

/** `framing` says how long the body is, where the answer's headers do not. */
function headOf(
  { status, headers }: Response,
  { minor, date }: AnswerOptions,
  { stays, framing }: { readonly stays: boolean; readonly framing: string },
): string {
  let text = `HTTP/1.${minor} ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n`;
  for (const [name, value] of headers) {
    if (!OWN.has(name)) text += `${name}: ${value}\r\n`;
  }
  const connection = !stays ? "connection: close\r\n" : minor === 0 ? "connection: keep-alive\r\n" : "";
  return `${text}${framing}${connection}date: ${date}\r\n\r\n`;
}
