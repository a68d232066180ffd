/**
 * Something acquired that has to be released: a place in a queue, a lease, a region of memory, a file. The word is
 * always `release`; a block that acquires something declares it with `using`.
 *
 * Invariant: releasing a second time does nothing.
 */
export interface Releasable extends Disposable {
  release(): void;
}

/** A releasable whose first release calls `giveBack`. */
export function releasable(giveBack: () => void): Releasable {
  let isHeld = true;
  const release = () => {
    if (!isHeld) return;
    isHeld = false;
    giveBack();
  };
  return { release, [Symbol.dispose]: release };
}
