/**
 * What is acquired and given back: a place in a queue, a lease, a region of memory, a file. There is one word for giving
 * it back, `release`; a block that acquires something says it with `using`.
 *
 * Invariant: releasing a second time does nothing.
 */
export interface Releasable extends Disposable {
  release(): void;
}

/** Something that was acquired. The first release calls `giveBack`. */
export function releasable(giveBack: () => void): Releasable {
  let isHeld = true;
  const release = () => {
    if (!isHeld) return;
    isHeld = false;
    giveBack();
  };
  return { release, [Symbol.dispose]: release };
}
