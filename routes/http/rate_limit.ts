/**
 * How many requests a client may send: a token bucket for each. A bucket holds what {@link BURST_SECONDS} bring in, so that a client may send a few requests together and pause then.
 *
 * Invariants: memory is bounded. A client that is forgotten has a full bucket, as one that was away; the clients that
 * have waited longest are forgotten first.
 */
import { BoundedMap } from "../../kernels/bounded_map.ts";

const BURST_SECONDS = 10;
const CLIENTS_MAX = 20_000;
/** The name of the policy in the headers. */
const POLICY = '"requests"';

interface Bucket {
  units: number;
  /** When that was counted, in milliseconds. */
  at: number;
}

interface Taken {
  readonly isAllowed: boolean;
  /** Whole requests that are left. */
  readonly left: number;
  /** Until there is one more. */
  readonly seconds: number;
}

export class RateLimit {
  readonly perSecond: number;
  readonly #now: () => number;
  readonly #buckets = new BoundedMap<string, Bucket>(CLIENTS_MAX);

  constructor({ perSecond, now }: { readonly perSecond: number; readonly now: () => number }) {
    this.perSecond = perSecond;
    this.#now = now;
  }

  get #size(): number {
    return this.perSecond * BURST_SECONDS;
  }

  /** Takes one request from the client's bucket, if there is one. */
  take(client: string): Taken {
    const now = this.#now();
    const bucket = this.#buckets.get(client) ?? { units: this.#size, at: now };
    // Again at the end of the order: the first one was used longest ago.
    this.#buckets.delete(client);
    this.#buckets.set(client, bucket);
    bucket.units = Math.min(this.#size, bucket.units + (now - bucket.at) / 1000 * this.perSecond);
    bucket.at = now;
    const isAllowed = bucket.units >= 1;
    if (isAllowed) bucket.units -= 1;
    const left = Math.floor(bucket.units);
    return { isAllowed, left, seconds: Math.ceil((left + 1 - bucket.units) / this.perSecond) };
  }

  /** The headers of draft-ietf-httpapi-ratelimit-headers-11. */
  headers({ left, seconds }: Taken): Readonly<Record<"RateLimit-Policy" | "RateLimit", string>> {
    return {
      "RateLimit-Policy": `${POLICY};q=${this.#size};w=${BURST_SECONDS}`,
      RateLimit: `${POLICY};r=${left};t=${seconds}`,
    };
  }
}
