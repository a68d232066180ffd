/**
 * The runs that are being read from their files, in slices between which others run.
 *
 * Invariant: a run is read once, however many requests wait for it. When something else is done to the run meanwhile
 * (a deletion, a checkpoint that replaces it), the reading is given up in the same turn: it leaves nothing in memory, and
 * has no file open.
 */
import { nextTurn, Slices } from "../../slices.ts";
import type { Session } from "../session/session.ts";

interface Reading {
  /** Resolves when the run is in memory, or the reading was given up. Rejects with what the reading throws. */
  readonly ended: Promise<void>;
  readonly giveUp: () => void;
}

/** A run that can be read. */
interface Readable {
  /** Resolves when nothing is written to the run's files any more; undefined: nothing is. */
  readonly quiet: Promise<void> | undefined;
  /** Reads the run in pieces, each of which yields how long it took, in nanoseconds. */
  readonly begin: () => Generator<number, Session>;
  /** Called with the run in the turn in which it was read. */
  readonly onEnd: (session: Session) => void;
}

export class Readings<K extends object> {
  readonly #running = new Map<K, Reading>();

  /** Reads a run, or waits for the reading that has begun. The run need not be in memory afterwards. */
  read(key: K, run: Readable): Promise<void> {
    const running = this.#running.get(key);
    if (running) return running.ended;
    let isWanted = true, work: Generator<number, Session> | undefined;
    const giveUp = () => {
      isWanted = false;
      // Its `finally` blocks give memory and files back.
      work?.return(undefined as never);
    };
    const advance = async () => {
      await run.quiet;
      const slices = new Slices();
      while (isWanted) {
        const { value, done } = (work ??= run.begin()).next();
        if (done) return run.onEnd(value);
        if (slices.isOver(value)) await nextTurn();
      }
    };
    const ended = advance().finally(() => {
      if (this.#running.get(key)?.giveUp === giveUp) this.#running.delete(key);
    });
    this.#running.set(key, { ended, giveUp });
    return ended;
  }

  /** Ends the reading of a run, if there is one. Those who wait for it find out for themselves what became of the run. */
  giveUp(key: K): void {
    const running = this.#running.get(key);
    this.#running.delete(key);
    running?.giveUp();
  }
}
