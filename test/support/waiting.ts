/**
 * Tests wait for a state, never for a time: when it comes is the machine's business, that it comes is the test's.
 *
 * Invariant: whoever waits here gives up in the end, long after the slowest machine would have been there.
 */
const PATIENCE_MS = 180_000;

/** Resolves once `condition` holds, however long that takes; throws when it has not come after all. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const start = performance.now();
  while (!await condition()) {
    if (performance.now() - start > PATIENCE_MS) {
      throw new Error(`In ${PATIENCE_MS / 1000} s this has not come true: ${condition}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What `promise` gives; throws when that has not come after all. `what` says what did not happen then. */
export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} within ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, end]);
  } finally {
    clearTimeout(timer);
  }
}
