/**
 * Enforces the time limit of a loss from inside the worker: it checks the clock before every kernel of tfjs. It
 * cannot be enforced from outside, because Deno ends a busy worker only when it waits for messages again.
 *
 * A kernel cannot be interrupted; loss_graph.ts limits its work.
 */
import { refusal, type StepwellError } from "../../errors.ts";
import type { Tf } from "../functions/define.ts";

interface Time {
  readonly seconds: number;
  /** In milliseconds. */
  readonly now: () => number;
}

/** Returns the result of `act`. Throws loss_too_slow at the first kernel that would start after `seconds`. */
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
  const problem = `takes longer than ${seconds} s, must take at most that long`;
  return refusal("loss_too_slow", "evaluate the loss", { path: "loss", called: "it" }, problem);
}
