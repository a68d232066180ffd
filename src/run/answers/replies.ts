/**
 * The answers to keyed requests of one run: a retry gets the first answer and does not make a second step (IETF draft
 * "The Idempotency-Key HTTP Header Field").
 *
 * The newest {@link KEPT_COUNT} keys are kept whatever their age; older keys are kept for {@link KEPT_MS}, as long as
 * all answers together have at most {@link KEPT_LENGTH_MAX} characters. An answer that is longer than {@link
 * ANSWER_LENGTH_MAX}, because the run has many variables, is kept without warnings and figures per variable, and
 * without the optimizer or the run that it describes. The replies are part of the run's state: journal records carry
 * key and hash, snapshots carry the table. Invariant: a key gets the same answer for as long as it is kept.
 */
import { StepwellError } from "../../errors.ts";
import { type Releasable, releasable } from "../../releasable.ts";
import { answerText, readAnswer } from "./answer_text.ts";
import { areMany } from "./norms.ts";
import {
  type ContributionAnswer,
  type KeptAnswer,
  type KeyUse,
  plainKey,
  type StepAnswer,
} from "../api/steps.ts";

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

  /** Marks a key as in progress until it is released. Keys of different runs are different. Throws key_in_progress. */
  acquire(key: string, run = ""): Releasable {
    const own = `${run} ${key}`;
    if (this.#keys.has(own)) {
      throw new StepwellError(
        "key_in_progress",
        `Cannot take this request: another one with the Idempotency-Key ${
          JSON.stringify(plainKey(key))
        } is in progress`,
      );
    }
    this.#keys.add(own);
    return releasable(() => void this.#keys.delete(own));
  }
}

export class Replies {
  /** Oldest first. */
  readonly #replies = new Map<string, Reply>();
  readonly #inProgress: KeysInProgress;
  #length = 0;

  constructor(replies: readonly Reply[] = [], inProgress = new KeysInProgress()) {
    this.#inProgress = inProgress;
    for (const reply of replies) this.#add(reply);
  }

  get all(): readonly Reply[] {
    return [...this.#replies.values()];
  }

  /** A copy for the run that takes this one's place. Keys in progress are those of both. */
  copy(): Replies {
    return new Replies(this.all, this.#inProgress);
  }

  /** As {@link KeysInProgress.acquire}. */
  acquireKey(key: string): Releasable {
    return this.#inProgress.acquire(key);
  }

  /** Finds the answer to an earlier request with this key. Throws key_reused if that request was a different one. */
  find<A extends KeptAnswer = StepAnswer | ContributionAnswer>(
    { key, hash }: { key: string; hash: string },
  ): A | undefined {
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
  add(use: KeyUse, answer: KeptAnswer): void {
    this.#add({ ...use, answer: keptText(answer) });
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

function keptText(answer: KeptAnswer): string {
  const isLong = "variables" in answer && areMany(answer.variables);
  const whole = isLong ? undefined : answerText(answer);
  return whole !== undefined && whole.length <= ANSWER_LENGTH_MAX ? whole : answerText(shortened(answer));
}

function shortened(answer: KeptAnswer): KeptAnswer {
  if ("variables" in answer) return { ...answer, variables: {}, warnings: [] };
  const { optimizer: _, run: __, ...rest } = answer;
  return rest;
}
