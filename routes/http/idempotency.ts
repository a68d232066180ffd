/**
 * The Idempotency-Key of a request: which keys are valid, the hash of the request, and changes that are made once for
 * each key. The answers to keys are kept by the run (src/run/answers/replies.ts) or, for creations, by the store.
 *
 * The hash covers method, path, query, Content-Type, Content-Encoding and the body's bytes as received, and the client
 * that the token is bound to. Invariant: a token of the file meets no key of another one.
 */
import { createHash } from "node:crypto";
import { StepwellError } from "../../src/errors.ts";
import { type Releasable, releasable } from "../../src/releasable.ts";
import { type ChangeAnswer, type KeyedAnswers, type KeyUse, scopedKey } from "../../src/run/api/steps.ts";
import { callerOf } from "./access.ts";
import type { AppContext, Services } from "./context.ts";

const HEADER = "Idempotency-Key";
/** Visible ASCII, as between the quotes of an RFC 8941 string. */
const KEY = /^[\x21-\x7e]{1,255}$/;

export interface KeyedRequest {
  /** As it is kept: one of a token of the file is of that token only. */
  readonly key: string;
  /** The key with the hash of the request. Call it once the body has been read to the end. */
  use(): KeyUse;
}

/** The request's key; undefined if it has none. The body is hashed as it is read. Throws malformed_header. */
export function keyedRequest(
  c: AppContext,
  { wallClock }: Pick<Services, "wallClock">,
): KeyedRequest | undefined {
  const key = c.req.header(HEADER);
  if (key === undefined) return undefined;
  if (!KEY.test(key)) {
    throw new StepwellError(
      "malformed_header",
      `Cannot read ${HEADER}: must be 1 to 255 visible ASCII characters`,
      [
        { path: `header.${HEADER}`, message: "Must be 1 to 255 visible ASCII characters" },
      ],
    );
  }
  const { isShared, name, clientId } = callerOf(c);
  const ownKey = isShared ? key : scopedKey(`${name}`, key);
  const hash = createHash("sha256");
  const { raw } = c.req;
  const url = new URL(raw.url);
  const said = [
    raw.method,
    url.pathname,
    url.search,
    c.req.header("Content-Type"),
    c.req.header("Content-Encoding"),
    ...clientId === undefined ? [] : [clientId],
  ];
  hash.update(JSON.stringify(said));
  if (raw.body) {
    const body = raw.body.pipeThrough(
      new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
        transform(chunk, controller) {
          hash.update(chunk);
          controller.enqueue(chunk);
        },
      }),
    );
    c.req.raw = new Request(raw, { body });
  }
  return { key: ownKey, use: () => ({ key: ownKey, hash: hash.digest("hex"), at: wallClock().getTime() }) };
}

/** A change that is made once for each key. The key is in progress until this is released. */
export interface OneChange extends Releasable {
  /**
   * The key to make the change with, and the answer to an equal, earlier request, which is then the answer to this
   * one too. Call it once the body has been read to the end. Throws key_reused.
   */
  use(): { readonly key: KeyUse | undefined; readonly earlier: ChangeAnswer | undefined };
}

/** Call it before the body is read. Throws malformed_header, key_in_progress. */
export function oneChange(
  c: AppContext,
  services: Pick<Services, "wallClock">,
  { acquireKey, find }: {
    readonly acquireKey: KeyedAnswers["acquireKey"];
    readonly find: (use: KeyUse) => ChangeAnswer | undefined;
  },
): OneChange {
  const keyed = keyedRequest(c, services);
  const held = keyed && acquireKey(keyed.key);
  return {
    use() {
      const key = keyed?.use();
      return { key, earlier: key && find(key) };
    },
    ...releasable(() => held?.release()),
  };
}

/** Says that the answer is that to an earlier, equal request. */
export function sayReplayed(c: AppContext): void {
  c.header("Idempotency-Replayed", "true");
}
