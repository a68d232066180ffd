/**
 * The tokens that requests may carry: STEPWELL_TOKEN, which may do everything, and those of the file that
 * STEPWELL_TOKENS names, of which only hashes are known. What callers may do is decided in access.ts.
 *
 * Invariant: the signal of a caller is aborted once its entry is not among the entries as it was.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Settings } from "../../src/config.ts";
import { RunGlobs } from "./globs.ts";
import { DEFAULT_NAME, type Scope, SCOPES, type TokenEntry } from "./token_file.ts";

/** Who sends a request, and what its token allows. */
export interface Caller {
  /** For the log and for messages; undefined: no token is asked for. */
  readonly name?: string;
  /** Whether anybody may have this token, so that it tells no two callers apart. */
  readonly isShared: boolean;
  readonly scope: Scope;
  readonly runs: RunGlobs;
  /** The only client that it may contribute as; undefined: any. */
  readonly clientId?: string | undefined;
  /** Aborted when the token is taken back; undefined: it cannot be. */
  readonly revoked?: AbortSignal;
}

/** The caller of a service that asks for no token. */
export const ANYBODY: Caller = { isShared: true, scope: "admin", runs: new RunGlobs(["*"]) };

interface Known {
  readonly caller: Caller;
  readonly digest: Uint8Array;
  readonly revoke: () => void;
  /** The entry as text: whether a later one is the same. */
  readonly text: string;
}

/** Characters of a token that is not guessed: its hash does not tell how many it has. */
const LENGTH_MIN = 16;

export class Tokens {
  /** Whether requests need a token. */
  readonly areAsked: boolean;
  readonly #own: Pick<Known, "caller" | "digest"> | undefined;
  /** By the hash in hexadecimal. */
  #known: ReadonlyMap<string, Known> = new Map();

  constructor(settings: Pick<Settings, "STEPWELL_TOKEN" | "STEPWELL_TOKENS">) {
    const { STEPWELL_TOKEN: token, STEPWELL_TOKENS: path } = settings;
    this.areAsked = token !== "" || path !== "";
    if (token !== "") this.#own = { caller: { ...ANYBODY, name: DEFAULT_NAME }, digest: sha256(token) };
  }

  /** The caller that a token stands for; undefined: nobody. */
  find(token: string): Caller | undefined {
    const digest = sha256(token);
    // The time of the look-up tells about a hash, from which no token follows.
    const known = this.#known.get(digest.toString("hex"));
    if (known && token.length >= LENGTH_MIN && timingSafeEqual(known.digest, digest)) return known.caller;
    return this.#own && timingSafeEqual(this.#own.digest, digest) ? this.#own.caller : undefined;
  }

  /** Puts these entries in place of all earlier ones. Returns the names of those that are no longer, or not as before. */
  replace(entries: readonly TokenEntry[]): readonly string[] {
    const before = this.#known;
    this.#known = new Map(entries.map((entry) => {
      const old = before.get(entry.sha256), text = JSON.stringify(entry);
      return [entry.sha256, old?.text === text ? old : knownOf(entry, text)];
    }));
    const gone = [...before].filter(([hash, known]) => this.#known.get(hash) !== known).map(([, known]) =>
      known
    );
    for (const { revoke } of gone) revoke();
    return gone.map(({ caller }) => caller.name ?? "");
  }
}

function knownOf({ sha256: hash, name, scopes, runs, client_id: clientId }: TokenEntry, text: string): Known {
  const revocation = new AbortController();
  const scope = SCOPES.findLast((each) => scopes.includes(each)) as Scope;
  return {
    caller: { name, isShared: false, scope, runs: new RunGlobs(runs), clientId, revoked: revocation.signal },
    digest: Uint8Array.fromHex(hash),
    revoke: () => revocation.abort(),
    text,
  };
}

const sha256 = (text: string) => createHash("sha256").update(text).digest();
