/**
 * The lane without a socket: a request is written as bytes of HTTP/1.1, read by a connection of the lane, and its answer
 * is read from bytes again. Tests of routes go through it, so that everything they ask is asked as a client asks it.
 */
import { directAnswers } from "../../../routes/direct.ts";
import type { App, Services } from "../../../routes/http/context.ts";
import { Connection } from "../../../routes/lane/connection.ts";
import { type ClientSocket, exchangeOver } from "./doors.ts";

/** As the app's `request`. */
export type Ask = (
  path: string,
  init: RequestInit,
  info?: { readonly remoteAddr: Deno.NetAddr },
) => Promise<Response>;

const LOOPBACK: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };

export function memoryLane(app: App, services: Services): Ask {
  const newId = () => crypto.randomUUID(), direct = directAnswers(services, newId);
  return async (path, init, { remoteAddr } = { remoteAddr: LOOPBACK }) => {
    const request = new Request(new URL(path, "http://localhost"), init);
    const { pathname, search } = new URL(request.url);
    const [ours, theirs] = [new Pipe(), new Pipe()];
    const close = () => {
      ours.end();
      theirs.end();
    };
    const connection = new Connection({
      ...services,
      origin: { scheme: "http", authority: "localhost" },
      handler: app.fetch,
      direct,
      newId,
      socket: {
        ...socketOf(ours, theirs),
        close,
        closeWrite: () => Promise.resolve(theirs.end()),
        remoteAddr,
      } as unknown as Deno.Conn,
      onFailure: (error) => {
        throw error;
      },
    });
    const served = connection.serve();
    const body = init.body === undefined || init.body === null
      ? undefined
      : bodyOf(init.body, () => ours.end());
    const length = body instanceof Uint8Array && { "content-length": String(body.length) };
    const { host: Host = "localhost", ...fields } = Object.fromEntries(request.headers);
    const headers = { Host, ...length, ...fields };
    const sent = { method: init.method ?? "GET", path: pathname + search, headers, body };
    init.signal?.addEventListener("abort", close);
    const response = await exchangeOver({ ...socketOf(theirs, ours), close }, sent, () => {});
    // What a test looks at next is what stands when the connection has ended.
    if (response.headers.has("content-length")) await served;
    // They are the server's, whichever it is; a problem's length is too.
    for (const name of ["date", "connection"]) response.headers.delete(name);
    if (response.status >= 400) response.headers.delete("content-length");
    return response;
  };
}

/** `onBroken` is called when a stream fails: a client whose source fails breaks off. */
function bodyOf(body: BodyInit, onBroken: () => void): Uint8Array | ReadableStream<Uint8Array> {
  if (body instanceof Uint8Array) return body;
  if (typeof body === "string") return new TextEncoder().encode(body);
  if (body instanceof ReadableStream) {
    return ReadableStream.from((async function* () {
      try {
        yield* body;
      } catch (error) {
        onBroken();
        throw error;
      }
    })());
  }
  throw new TypeError("A test's body is text, bytes or a stream");
}

function socketOf(input: Pipe, output: Pipe): Omit<ClientSocket, "close"> {
  return { read: (view) => input.read(view), write: (bytes) => output.write(bytes) };
}

/** Bytes on their way. A write ends when its bytes are taken, so that nothing piles up. */
class Pipe {
  #bytes: Uint8Array | undefined;
  #isOver = false;
  #wake = Promise.withResolvers<void>();

  async read(view: Uint8Array): Promise<number | null> {
    while (!this.#bytes) {
      if (this.#isOver) return null;
      await this.#wake.promise;
    }
    const count = Math.min(view.length, this.#bytes.length);
    view.set(this.#bytes.subarray(0, count));
    this.#bytes = count === this.#bytes.length ? undefined : this.#bytes.subarray(count);
    this.#change();
    return count;
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (this.#isOver) throw new Deno.errors.BrokenPipe("The other side has gone");
    this.#bytes = bytes;
    this.#change();
    while (this.#bytes && !this.#isOver) await this.#wake.promise;
    return bytes.length;
  }

  end(): void {
    this.#isOver = true;
    this.#change();
  }

  #change(): void {
    const { resolve } = this.#wake;
    this.#wake = Promise.withResolvers();
    resolve();
  }
}
