/**
 * Waiting in tests: for a state, never for a time. How long it takes depends on the machine; only that it happens is
 * tested.
 *
 * Invariant: every wait gives up in the end, after much more time than the slowest machine needs.
 */
const PATIENCE_MS = 180_000;

/** Resolves once `condition` holds. Throws if it never does. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const start = performance.now();
  while (!await condition()) {
    if (performance.now() - start > PATIENCE_MS) {
      throw new Error(`After ${PATIENCE_MS / 1000} s this is still false: ${condition}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The value of `promise`. Throws if it never settles; `what` then says what did not happen. */
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
