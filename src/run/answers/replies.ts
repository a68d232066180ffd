/**
 * The answers to keyed requests of one run: a retry gets the first answer and does not make a second step (IETF draft
 * "The Idempotency-Key HTTP Header Field").
 *
 * The newest {@link KEPT_COUNT} keys are kept whatever their age; older keys are kept for {@link KEPT_MS}, as long as
 * all answers together have at most {@link KEPT_LENGTH_MAX} characters. An answer that is longer than {@link
 * ANSWER_LENGTH_MAX}, because the run has many variables, is kept without warnings and figures per variable. The
 * replies are part of the run's state: journal records carry key and hash, snapshots carry the table. Invariant: a
 * key gets the same answer for as long as it is kept.
 */
import { StepwellError } from "../../errors.ts";
import { type Releasable, releasable } from "../../releasable.ts";
import { answerText, readAnswer } from "./answer_text.ts";
import { type ContributionAnswer, type KeyUse, plainKey, type StepAnswer } from "../api/steps.ts";

const KEPT_MS = 24 * 3600 * 1000;
const KEPT_COUNT = 1000;
/** Characters of answers kept beyond the newest KEPT_COUNT: some ten thousand steps of a small model. */
const KEPT_LENGTH_MAX = 4 * 1024 ** 2;
/** Characters of one answer: the header of a snapshot holds a thousand answers. */
const ANSWER_LENGTH_MAX = 8000;

export interface Reply extends KeyUse {
  readonly answer: string;
}

/** Keys of requests in progress. */
export class KeysInProgress {
  readonly #keys = new Set<string>();

  /** Marks a key as in progress until it is released. Throws key_in_progress. */
  acquire(key: string): Releasable {
    if (this.#keys.has(key)) {
      throw new StepwellError(
        "key_in_progress",
        `Cannot take this request: another one with the Idempotency-Key ${
          JSON.stringify(plainKey(key))
        } is in progress`,
      );
    }
    this.#keys.add(key);
    return releasable(() => void this.#keys.delete(key));
  }
}

export class Replies {
  /** Oldest first. */
  readonly #replies = new Map<string, Reply>();
  readonly #inProgress = new KeysInProgress();
  #length = 0;

  constructor(replies: readonly Reply[] = []) {
    for (const reply of replies) this.#add(reply);
  }

  get all(): readonly Reply[] {
    return [...this.#replies.values()];
  }

  /** As {@link KeysInProgress.acquire}. */
  acquireKey(key: string): Releasable {
    return this.#inProgress.acquire(key);
  }

  /** Finds the answer to an earlier request with this key. Throws key_reused if that request was a different one. */
  find({ key, hash }: { key: string; hash: string }): StepAnswer | ContributionAnswer | undefined {
    const reply = this.#replies.get(key);
    if (!reply) return undefined;
    if (reply.hash === hash) return readAnswer(reply.answer);
    throw new StepwellError(
      "key_reused",
      `Cannot take this request: the Idempotency-Key ${
        JSON.stringify(plainKey(key))
      } was used for another request`,
    );
  }

  /** Keeps an answer. It replaces an earlier answer to the same request. */
  add(use: KeyUse, answer: StepAnswer | ContributionAnswer): void {
    const whole = answerText(answer);
    const kept = whole.length > ANSWER_LENGTH_MAX
      ? answerText({ ...answer, variables: {}, warnings: [] })
      : whole;
    this.#add({ ...use, answer: kept });
    for (const [key, { at, answer: text }] of this.#replies) {
      const isOld = at < use.at - KEPT_MS || this.#length > KEPT_LENGTH_MAX;
      if (!isOld || this.#replies.size <= KEPT_COUNT) break;
      this.#replies.delete(key);
      this.#length -= text.length;
    }
  }

  #add(reply: Reply): void {
    this.#length -= this.#replies.get(reply.key)?.answer.length ?? 0;
    this.#replies.set(reply.key, reply);
    this.#length += reply.answer.length;
  }
}
