/**
 * Keeps the port open: Deno ends a server when it cannot accept a connection for lack of a descriptor. Connections that
 * are open then are served on, and the port is opened again as soon as the reserve of descriptors is whole.
 *
 * Invariant: a server that ends for another reason is told of; nothing is swallowed.
 */
import { type Descriptors, isExhausted } from "./descriptors.ts";

/** How often the port is tried while it is closed. */
const RETRY_MS = 100;
/** After so many attempts idle connections are closed, and bodies that are being received with them. */
const PATIENT_ATTEMPTS = 20;
/** Every so many times that the port closes, the log is told. */
const NEWS_EVERY = 100;

interface Server {
  readonly finished: Promise<void>;
  shutdown(): Promise<void>;
}

interface OpenPortParts {
  /** Opens the port, always the same. */
  readonly serve: () => Server;
  readonly descriptors: Descriptors;
  /** For the log. */
  readonly onNotice: (notice: string) => void;
  /** The port is closed for good, though nobody asked for it. */
  readonly onEnd: (error: unknown) => void;
}

export class OpenPort {
  readonly #parts: OpenPortParts;
  /** The newest last. Those before it have requests in flight. */
  readonly #servers = new Set<Server>();
  #isClosing = false;
  #closures = 0;

  /** Opens the port. Throws what `serve` throws. */
  constructor(parts: OpenPortParts) {
    this.#parts = parts;
    this.#serve();
  }

  /** Finishes the answers that are being sent. */
  async shutdown(): Promise<void> {
    this.#isClosing = true;
    await Promise.all([...this.#servers].map((server) => server.shutdown()));
  }

  #serve(): void {
    const server = this.#parts.serve();
    this.#servers.add(server);
    server.finished.then(() => new Error("the server ended"), (error) => error).then((error) => {
      if (this.#isClosing) return;
      if (isExhausted(error)) this.#reopen();
      else this.#parts.onEnd(error);
    });
  }

  #reopen(): void {
    const { descriptors, onNotice, onEnd } = this.#parts;
    // In a flood of connections the port closes several times a second.
    const isNews = this.#closures++ % NEWS_EVERY === 0;
    if (isNews) onNotice("Cannot accept connections: no file descriptor is left; they are refused meanwhile");
    descriptors.giveWay();
    let attempts = 0;
    const attempt = () => {
      if (this.#isClosing) return;
      if (descriptors.hold()) {
        try {
          this.#serve();
          if (isNews) onNotice("Connections are accepted again");
          return;
        } catch (error) {
          if (!isExhausted(error)) return onEnd(error);
        }
      }
      attempts += 1;
      if (attempts === PATIENT_ATTEMPTS) this.#closeIdle();
      setTimeout(attempt, RETRY_MS);
    };
    setTimeout(attempt, RETRY_MS);
  }

  #closeIdle(): void {
    this.#parts.onNotice("Idle connections are closed, because no file descriptor is left");
    for (const server of this.#servers) {
      server.shutdown().catch(() => {}).finally(() => this.#servers.delete(server));
    }
  }
}
