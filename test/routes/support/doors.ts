/**
 * The two servers that a request can come through, on loopback: Deno's and the lane. Requests are written to the socket
 * as they are given, so that no client puts anything right.
 */
import assert from "node:assert/strict";
import { directAnswers } from "../../../routes/direct.ts";
import { serveLane } from "../../../routes/lane/lane.ts";
import type { App, Services } from "../../../routes/http/context.ts";
import { AnswerReader } from "./answer_reader.ts";

/** What is used of a connection. */
export type ClientSocket = Pick<Deno.Conn, "read" | "write" | "close">;

export const DOORS = ["deno", "lane"] as const;
export type Door = (typeof DOORS)[number];

export interface OpenDoor extends AsyncDisposable {
  readonly port: number;
  shutdown(): Promise<void>;
}

export function openDoor(door: Door, app: App, services: Services): OpenDoor {
  const place = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
  const server = door === "deno" ? Deno.serve(place, app.fetch) : serveLane(place, {
    ...services,
    handler: app.fetch,
    direct: directAnswers(services, () => "from-the-lane"),
    newId: () => "from-the-lane",
    onFailure: (error) => {
      throw error;
    },
  });
  const shutdown = () => server.shutdown();
  return { port: (server.addr as Deno.NetAddr).port, shutdown, [Symbol.asyncDispose]: shutdown };
}

export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | ReadableStream<Uint8Array> | undefined;
}

/** Sends a request over a connection of its own and returns the answer; `onEnd` is called when all of it has come. */
export async function exchange(port: number, sent: Sent, onEnd: () => void = () => {}): Promise<Response> {
  return await exchangeOver(await Deno.connect({ hostname: "127.0.0.1", port }), sent, onEnd);
}

/** Like {@link exchange}, over a connection that is open already and is closed behind the answer. */
export async function exchangeOver(
  socket: ClientSocket,
  sent: Sent,
  onEnd: () => void = () => {},
): Promise<Response> {
  let isOpen = true;
  const close = () => {
    if (isOpen) socket.close();
    if (isOpen) onEnd();
    isOpen = false;
  };
  // A refusal may come before the body is sent, and end it.
  const sending = send(socket, sent).catch(() => {});
  try {
    const reader = new AnswerReader(socket);
    const { status, headers } = await reader.head();
    const length = headers.get("content-length");
    const isEmpty = sent.method === "HEAD" || status === 204 || status === 304;
    if (isEmpty || length !== null) {
      const body = isEmpty ? null : await reader.bytes(Number(length));
      close();
      await sending;
      return new Response(body, { status, headers });
    }
    assert.equal(headers.get("transfer-encoding"), "chunked");
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const chunk = await reader.chunk();
        if (chunk) return controller.enqueue(chunk);
        close();
        controller.close();
      },
      cancel: close,
    }, { highWaterMark: 0 });
    headers.delete("transfer-encoding");
    return new Response(stream, { status, headers });
  } catch (error) {
    close();
    throw error;
  }
}

async function send(socket: ClientSocket, { method, path, headers, body }: Sent): Promise<void> {
  const encoder = new TextEncoder();
  const write = async (bytes: Uint8Array) => {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await socket.write(rest));
  };
  const fields = Object.entries({ Host: "localhost", ...headers });
  if (body instanceof ReadableStream && !fields.some(([name]) => /^content-length$/i.test(name))) {
    fields.push(["Transfer-Encoding", "chunked"]);
  }
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  await write(encoder.encode(`${method} ${path} HTTP/1.1\r\n${lines}\r\n`));
  if (body instanceof Uint8Array) return await write(body);
  if (!body) return;
  for await (const chunk of body) {
    await write(encoder.encode(`${chunk.length.toString(16)}\r\n`));
    await write(chunk);
    await write(encoder.encode("\r\n"));
  }
  await write(encoder.encode("0\r\n\r\n"));
}

/** Headers that belong to one answer or to the connection. */
const OWN_HEADERS = new Set(["date", "x-request-id", "connection"]);

export type Comparable = Awaited<ReturnType<typeof comparable>>;

/** What must be equal of the answers that both doors give to one request. */
export async function comparable(response: Response) {
  const bytes = await response.bytes();
  const isProblem = response.headers.get("content-type") === "application/problem+json";
  return {
    status: response.status,
    headers: [...response.headers].filter(([name]) => !OWN_HEADERS.has(name)).filter(([name]) =>
      !isProblem || name !== "content-length"
    ),
    body: isProblem
      ? { ...JSON.parse(new TextDecoder().decode(bytes)), request_id: "" }
      : new TextDecoder("latin1").decode(bytes),
  };
}
