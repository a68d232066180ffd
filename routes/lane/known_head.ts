/**
 * The last head of a connection: most clients send the same one again and again, which then is not parsed again.
 */
import type { Buffer } from "node:buffer";
import type { DirectCall } from "./direct.ts";
import type { Framing } from "./framing.ts";
import type { Head } from "./head.ts";

/** A longer one is seldom sent twice. */
const KEPT_BYTES_MAX = 1024;

export interface ReadHead {
  readonly head: Head;
  readonly framing: Framing;
  /** Set if the request can be answered without the app. */
  readonly call: DirectCall | undefined;
}

export class KnownHead {
  #bytes: Uint8Array | undefined;
  #read: ReadHead | undefined;

  get byteLength(): number {
    return this.#bytes?.length ?? 0;
  }

  keep(bytes: Buffer, read: ReadHead): void {
    if (bytes.length > KEPT_BYTES_MAX) return;
    this.#bytes = Uint8Array.from(bytes);
    this.#read = read;
  }

  /** What was read of the head that `bytes` begin with, if it is this one to the byte. */
  find(bytes: Buffer): ReadHead | undefined {
    const known = this.#bytes;
    if (!known || bytes.length < known.length) return undefined;
    for (let at = 0; at < known.length; at++) if (bytes[at] !== known[at]) return undefined;
    return this.#read;
  }
}
