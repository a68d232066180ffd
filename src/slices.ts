/**
 * Long work in slices, between which other work of the process runs.
 *
 * Work is counted, not timed: nothing here reads a clock, so the same work is always cut in the same places. Invariant:
 * only one slice runs per turn of the event loop, however many jobs have slices left, so that jobs do not add up.
 */

/** One unit is about a nanosecond; a slice holds the event loop for about 10 ms. */
const SLICE_UNITS = 10_000_000;

const waiting: (() => void)[] = [];

/**
 * Resolves in a later turn of the event loop, after some two milliseconds. Those who wait are served one per turn, in
 * order. (With `setImmediate` or messages it would be sooner, but bytes of other connections might then wait for a
 * second and more.)
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (waiting.push(resolve) === 1) setTimeout(serve, 0);
  });
}

function serve(): void {
  const next = waiting[0];
  next?.();
  // The slice runs in the microtasks before the next timer; whoever waits again is behind the others by then.
  waiting.shift();
  if (waiting.length > 0) setTimeout(serve, 0);
}

/** The work of one job since its last turn. */
export class Slices {
  #units = 0;

  /** Counts work that was done. Returns whether the job should wait for `nextTurn` now. */
  isOver(units: number): boolean {
    this.#units += units;
    if (this.#units < SLICE_UNITS) return false;
    this.#units = 0;
    return true;
  }
}

/** Elements in a piece: a yield takes longer than the work of one, the more so through many generators. */
const PIECE_LENGTH = 512;

/** Calls `act` for every element. Yields after some how long they took, `units` nanoseconds each. */
export function* inPieces<T>(
  list: Iterable<T>,
  units: number,
  act: (element: T) => void,
): Generator<number, void> {
  let count = 0;
  for (const element of list) {
    act(element);
    if (++count % PIECE_LENGTH === 0) yield PIECE_LENGTH * units;
  }
}

/** Does the whole of a work, which yields after each piece how much it was, in nanoseconds. */
export function atOnce<T>(work: Generator<number, T>): T {
  for (;;) {
    const { value, done } = work.next();
    if (done) return value;
  }
}

/** As {@link atOnce}, in slices between which others run. */
export async function inSlices<T>(work: Generator<number, T>): Promise<T> {
  const slices = new Slices();
  for (;;) {
    const { value, done } = work.next();
    if (done) return value;
    if (slices.isOver(value)) await nextTurn();
  }
}
