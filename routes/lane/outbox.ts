/**
 * Writes answers to a client: status line, headers, and the body with its length or in chunks (RFC 9112, 6). It chooses
 * no status and no header, besides those of the connection.
 *
 * Invariant: what has been begun and cannot be ended as its head says ends the connection, so that no client takes a
 * part for the whole.
 */
import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";

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

  /** Sends an answer. Returns whether the connection can stay open. Throws when it broke, and what the body throws. */
  async send(response: Response, options: AnswerOptions): Promise<boolean> {
    const { method, minor, isKept } = options;
    const { status, headers, body } = response;
    const isBare = status === 204 || status === 304 || status < 200;
    const declared = headers.get("content-length");
    const isChunked = body !== null && declared === null && !isBare && minor === 1 && method !== "HEAD";
    const isUntilEnd = body !== null && declared === null && !isBare && minor === 0;
    const stays = isKept && !isUntilEnd;
    const head = headOf(response, {
      ...options,
      stays,
      length: isBare || declared !== null || method === "HEAD"
        ? ""
        : isChunked
        ? "transfer-encoding: chunked\r\n"
        : isUntilEnd
        ? ""
        : "content-length: 0\r\n",
    });
    if (method === "HEAD" || isBare || body === null) {
      await body?.cancel();
      await this.write(this.#encode(head));
      return stays;
    }
    const length = declared === null ? undefined : Number(declared);
    if (length !== undefined && length <= JOINED_BYTES_MAX) {
      const bytes = await response.bytes();
      if (bytes.length !== length) {
        throw new Error(`The body has ${bytes.length} bytes, its head says ${length}`);
      }
      await this.write(this.#encode(head, bytes));
      return stays;
    }
    await this.#stream(head, body, { length, isChunked });
    return stays;
  }

  async #stream(
    head: string,
    body: ReadableStream<Uint8Array>,
    { length, isChunked }: { readonly length: number | undefined; readonly isChunked: boolean },
  ): Promise<void> {
    const reader = body.getReader();
    let sent = 0;
    try {
      await this.write(this.#encode(head));
      for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
        if (!value || value.length === 0) continue;
        sent += value.length;
        if (length !== undefined && sent > length) throw new Error(`The body is longer than ${length} bytes`);
        await (isChunked ? this.#writeChunk(value) : this.write(value));
      }
    } catch (error) {
      await reader.cancel(error).catch(() => {});
      throw error;
    }
    if (length !== undefined && sent < length) {
      throw new Error(`The body has ${sent} bytes, its head says ${length}`);
    }
    if (isChunked) await this.write(LAST_CHUNK);
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

/** What the server says of the connection, whatever the app's answer says. */
const OWN = new Set(["connection", "date", "transfer-encoding", "keep-alive"]);

function headOf(
  { status, headers }: Response,
  { minor, date, stays, length }: AnswerOptions & { readonly stays: boolean; readonly length: string },
): string {
  let text = `HTTP/1.${minor} ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n`;
  for (const [name, value] of headers) {
    if (!OWN.has(name)) text += `${name}: ${value}\r\n`;
  }
  const connection = !stays ? "connection: close\r\n" : minor === 0 ? "connection: keep-alive\r\n" : "";
  return `${text}${length}${connection}date: ${date}\r\n\r\n`;
}
