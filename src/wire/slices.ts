/** Long work in slices: others run in between. */

/**
 * Lets everything else that is ready run. It takes some two milliseconds. `setImmediate` and messages take none, but
 * bytes of other connections may then wait for a second and more.
 */
export function othersRun(): Promise<void> {
  return new Promise((resume) => setTimeout(resume, 0));
}
