/**
 * Requests that are answered without the app, because they come so often that its way costs more than what they do.
 * Here is only what the lane knows of them; routes/direct.ts and its operations answer them.
 *
 * Invariant: nobody can tell from an answer which way it took.
 */
import type { Framing } from "./framing.ts";
import type { Head } from "./head.ts";

export interface DirectAnswer {
  readonly status: number;
  /** Headers as lines, besides those of the connection and Date. */
  readonly fields: string;
  readonly body: Uint8Array;
}

/** What a head asks for. */
export interface DirectCall {
  /**
   * Answers a request with this head and `body`, which is valid until the call returns. Undefined: nothing was
   * changed, and the app shall have the request.
   */
  (body: Uint8Array, remoteAddr: Deno.NetAddr): Promise<DirectAnswer | Response> | undefined;
}

/** Returns the call for a head that can be answered directly. */
export type Direct = (head: Head, framing: Framing) => DirectCall | undefined;

/** Longer bodies are read by the app, as they come. */
export const DIRECT_BODY_BYTES_MAX = 64 << 10;
