/**
 * A KV Connect server in memory, with the part of the protocol that the store uses (metadata exchange 3;
 * snapshot_read, atomic_write), as a remote database for tests; and servers that are no database.
 */
import { joined } from "../../../src/wire/joined.ts";

export interface KvServer extends AsyncDisposable {
  readonly url: string;
  /** Requested paths. */
  readonly asked: readonly string[];
}

export const TOKEN = "a-token-of-tests";

/** How a server that is no database treats every request. */
export const WRONG: Readonly<Record<string, (request: Request) => Response | Promise<Response>>> = {
  "an error": () => new Response("it is\nbroken", { status: 500 }),
  "no such page": () => new Response("<html>not here</html>", { status: 404 }),
  "a page": () => new Response("<html>hello</html>", { headers: { "Content-Type": "text/html" } }),
  "other JSON": () => Response.json({ hello: "world" }),
  // Until the client gives up.
  nothing: ({ signal }) => new Promise((resolve) => signal.onabort = () => resolve(new Response())),
};

/** Answers the metadata exchange correctly, and later requests with nonsense. */
export function serveNonsense(): KvServer {
  return serve((request) =>
    isMetadata(request) ? metadata(request) : new Response("nonsense", { status: 500 })
  );
}

interface Stored {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly encoding: number;
  readonly versionstamp: Uint8Array<ArrayBuffer>;
}

export function serveKv(): KvServer {
  const entries = new Map<string, Stored>();
  let version = 0;
  const read = (body: Message) => {
    const ranges = body.messages(1).map((range) => {
      const start = range.bytes(1).toHex(), end = range.bytes(2).toHex(), limit = range.number(3);
      const found = [...entries].filter(([key]) => key >= start && key < end).sort(([a], [b]) =>
        a < b ? -1 : 1
      )
        .map(([, entry]) => entry);
      if (range.number(4) === 1) found.reverse();
      return field(1, joined(found.slice(0, limit).map((entry) => field(1, encodeEntry(entry)))));
    });
    return joined([...ranges, number(4, 1), number(8, 1)]);
  };
  const write = (body: Message) => {
    const failed = body.messages(1).some((check) =>
      (entries.get(check.bytes(1).toHex())?.versionstamp ?? new Uint8Array(0)).toHex() !==
        check.bytes(2).toHex()
    );
    if (failed) return joined([number(1, 2)]);
    const versionstamp = new Uint8Array(10);
    new DataView(versionstamp.buffer).setUint32(4, ++version);
    for (const mutation of body.messages(2)) {
      const key = mutation.bytes(1), [value] = mutation.messages(2);
      if (mutation.number(3) === 2) entries.delete(key.toHex());
      else if (value) {
        entries.set(key.toHex(), { key, value: value.bytes(1), encoding: value.number(2), versionstamp });
      }
    }
    return joined([number(1, 1), field(2, versionstamp)]);
  };
  return serve(async (request) => {
    if (isMetadata(request)) {
      const isKnown = request.headers.get("Authorization") === `Bearer ${TOKEN}`;
      return isKnown ? metadata(request) : new Response("who are you", { status: 401 });
    }
    const body = new Message(await request.bytes());
    return new Response(new URL(request.url).pathname === "/data/snapshot_read" ? read(body) : write(body));
  });
}

function encodeEntry({ key, value, encoding, versionstamp }: Stored): Uint8Array<ArrayBuffer> {
  return joined([field(1, key), field(2, value), number(3, encoding), field(4, versionstamp)]);
}

export function serve(handle: (request: Request) => Response | Promise<Response>): KvServer {
  const asked: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    asked.push(new URL(request.url).pathname);
    return handle(request);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    asked,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

const isMetadata = (request: Request) => new URL(request.url).pathname === "/";

function metadata({ url }: Request): Response {
  const id = "6f0a2bb9-3fd6-4a6e-8f2c-0b1b0a6f1a55";
  return Response.json({
    version: 3,
    uuid: id,
    databaseId: id,
    endpoints: [{ url: new URL("/data", url).href, consistency: "strong" }],
    token: "of the session",
    expiresAt: new Date(Date.now() + 3600_000).toISOString(),
  });
}

/** A protobuf message: the fields by number, in order. */
class Message {
  readonly #fields: { readonly id: number; readonly value: number | Uint8Array }[] = [];

  constructor(bytes: Uint8Array) {
    let at = 0;
    const varint = () => {
      let value = 0;
      for (let shift = 0;; shift += 7) {
        const byte = bytes[at++] ?? 0;
        value += (byte & 0x7f) * 2 ** shift;
        if (byte < 0x80) return value;
      }
    };
    while (at < bytes.length) {
      const tag = varint(), id = tag >>> 3;
      if ((tag & 7) === 0) this.#fields.push({ id, value: varint() });
      else {
        const length = varint();
        this.#fields.push({ id, value: bytes.subarray(at, at += length) });
      }
    }
  }

  #all(id: number) {
    return this.#fields.filter((field) => field.id === id).map(({ value }) => value);
  }

  messages(id: number): Message[] {
    return this.#all(id).map((value) => new Message(value as Uint8Array));
  }

  bytes(id: number): Uint8Array {
    return (this.#all(id)[0] ?? new Uint8Array(0)) as Uint8Array;
  }

  number(id: number): number {
    return (this.#all(id)[0] ?? 0) as number;
  }
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [value % 128 + 128, ...varint(Math.floor(value / 128))];
}

const number = (id: number, value: number) => Uint8Array.from([...varint(id << 3), ...varint(value)]);
const field = (id: number, value: Uint8Array) =>
  joined([Uint8Array.from([...varint(id << 3 | 2), ...varint(value.length)]), value]);
