/**
 * The request that the app sees, as Deno.serve would make it: the URL and the method are those of the head, to the
 * letter. A `Request` alone would normalize both and refuse some.
 */
import type { DirectlyRead } from "../../src/wire/body_chunks.ts";
import type { Framing } from "./framing.ts";
import type { HangUp } from "./hang_up.ts";
import type { Head } from "./head.ts";

/** Methods that a `Request` leaves as they are. */
const PLAIN_METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** What completes the URL of a request. */
export interface Origin {
  readonly scheme: "http" | "https";
  /** Of requests that name none. */
  readonly authority: string;
}

export interface LaneRequestParts {
  readonly head: Head;
  readonly framing: Framing;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | Uint8Array<ArrayBuffer>;
  readonly readBody: DirectlyRead["readBody"] | undefined;
  readonly hangUp: HangUp;
  readonly origin: Origin;
}

export class LaneRequest extends Request {
  readonly #method: string;
  readonly #url: string;
  readonly #hangUp: HangUp;
  /** Set if the body has not come yet: reads it without the stream. */
  readonly readBody?: DirectlyRead["readBody"];

  constructor({ head, framing, body, readBody, hangUp, origin }: LaneRequestParts) {
    const { method, fields } = head;
    const hasBody = method !== "GET" && method !== "HEAD";
    super("http://localhost/", {
      method: PLAIN_METHODS.has(method) ? method : "POST",
      headers: fields as [string, string][],
      ...hasBody && { body },
      // A copy, as requests with a key are made, knows only this signal.
      ...fields.some(([name]) => name === "idempotency-key") && { signal: hangUp.signal },
    });
    this.#method = method;
    const { path } = framing;
    this.#url = `${origin.scheme}://${framing.authority ?? origin.authority}${path === "*" ? "/*" : path}`;
    this.#hangUp = hangUp;
    if (readBody) this.readBody = readBody;
  }

  override get method(): string {
    return this.#method;
  }

  override get url(): string {
    return this.#url;
  }

  override get signal(): AbortSignal {
    return this.#hangUp.signal;
  }
}
