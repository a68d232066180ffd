/**
 * The service's own HTTP/1.1 server: it listens, and serves each connection (connection.ts). It stands in the place of
 * Deno.serve and knows no operation. HTTP/2 is for a proxy in front.
 *
 * Invariant: a server whose port closes though nobody asked for it says so through `finished`; its connections are
 * served on.
 */
import { Connection } from "./connection.ts";
import type { LaneParts } from "./lane_parts.ts";

export interface LaneServer {
  readonly addr: Deno.NetAddr;
  /** Rejects when the port closes for a reason of its own. */
  readonly finished: Promise<void>;
  /** Finishes the answers in progress. */
  shutdown(): Promise<void>;
}

export interface LaneAddress {
  readonly hostname: string;
  readonly port: number;
  /** In PEM, for TLS. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
}

/** How often deadlines are looked at. */
const TICK_SECONDS = 0.5;

/** Opens the port and serves it. Throws when the port cannot be opened. */
export function serveLane({ hostname, port, tls }: LaneAddress, parts: LaneParts): LaneServer {
  const listener: Deno.TcpListener | Deno.TlsListener = tls
    ? Deno.listenTls({ hostname, port, ...tls, alpnProtocols: ["http/1.1"] })
    : Deno.listen({ hostname, port });
  const addr = listener.addr as Deno.NetAddr;
  const origin = { scheme: tls ? "https" : "http", authority: `localhost:${addr.port}` } as const;
  const open = new Map<Connection, Promise<void>>();
  let timer: ReturnType<typeof setInterval> | undefined;
  let isClosing = false;
  const take = (socket: Deno.Conn) => {
    const connection = new Connection({ ...parts, socket, origin });
    timer ??= setInterval(() => open.forEach((_, each) => each.tick(TICK_SECONDS)), 1000 * TICK_SECONDS);
    const served = connection.serve().finally(() => {
      open.delete(connection);
      if (open.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    });
    open.set(connection, served);
  };
  const accept = async () => {
    for (;;) {
      let socket;
      try {
        socket = await listener.accept();
      } catch (error) {
        if (isClosing) return;
        // The client went away while it waited.
        if (error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.ConnectionReset) {
          continue;
        }
        listener.close();
        throw error;
      }
      if ("setNoDelay" in socket) socket.setNoDelay(true);
      take(socket);
    }
  };
  const finished = accept();
  return {
    addr,
    finished,
    shutdown: async () => {
      if (!isClosing) {
        isClosing = true;
        try {
          listener.close();
        } catch {
          // It was closed by a failure.
        }
      }
      for (const connection of open.keys()) connection.end();
      await Promise.all(open.values());
    },
  };
}
