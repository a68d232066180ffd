/**
 * The time that a loss may take, kept from inside: the clock is looked at before every kernel of tfjs. From outside it
 * cannot be kept: Deno ends a busy worker only once it waits for messages again.
 *
 * What it cannot interrupt is one kernel: how much work each may be is bounded elsewhere (loss_graph.ts).
 */
import { refusal, type StepwellError } from "../../errors.ts";
import type { Tf } from "../functions/define.ts";

interface Time {
  readonly seconds: number;
  /** In milliseconds. */
  readonly now: () => number;
}

/** What `act` gives. Throws loss_too_slow at the first kernel that would begin after so many seconds. */
export function within<T>(tf: Tf, { seconds, now }: Time, act: () => T): T {
  const engine = tf.engine(), end = now() + seconds * 1000;
  const run = engine.runKernel;
  engine.runKernel = (...kernel) => {
    if (now() > end) throw tooSlow(seconds);
    return run.apply(engine, kernel) as never;
  };
  try {
    return act();
  } finally {
    engine.runKernel = run;
  }
}

export function tooSlow(seconds: number): StepwellError {
  const problem = `takes longer than ${seconds} s, must take at most so long`;
  return refusal("loss_too_slow", "evaluate the loss", { path: "loss", called: "it" }, problem);
}
