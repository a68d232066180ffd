/** Sorts long lists in pieces. */

/** Elements that are sorted or merged in one piece, and how long one takes. */
const PIECE = 4096, ELEMENT_UNITS = 300;

/** As `list.toSorted(compare)`, stable too. Yields after each piece how long it took, in nanoseconds. */
export function* sorting<T>(
  list: readonly T[],
  compare: (a: T, b: T) => number,
): Generator<number, readonly T[]> {
  if (list.length <= PIECE) return list.toSorted(compare);
  let runs: T[][] = [];
  for (let at = 0; at < list.length; at += PIECE) {
    runs.push(list.slice(at, at + PIECE).sort(compare));
    yield PIECE * ELEMENT_UNITS;
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      const first = runs[at] as T[], second = runs[at + 1];
      merged.push(second ? yield* merging(first, second, compare) : first);
    }
    runs = merged;
  }
  return runs[0] as T[];
}

function* merging<T>(
  a: readonly T[],
  b: readonly T[],
  compare: (a: T, b: T) => number,
): Generator<number, T[]> {
  const merged: T[] = [];
  let i = 0, j = 0;
  while (i < a.length && j < b.length) {
    if (compare(a[i] as T, b[j] as T) <= 0) merged.push(a[i++] as T);
    else merged.push(b[j++] as T);
    if (merged.length % PIECE === 0) yield PIECE * ELEMENT_UNITS / 4;
  }
  for (; i < a.length; i++) merged.push(a[i] as T);
  for (; j < b.length; j++) merged.push(b[j] as T);
  return merged;
}
