/**
 * Newton's Opticks (data/SOURCE.md) as a sequence of word numbers, and pairs of nearby words. The training is
 * elsewhere.
 */

export interface Text {
  /** The word of each number, the most frequent first. */
  readonly vocabulary: readonly string[];
  /** The text in word numbers; rare words are left out. */
  readonly tokens: Int32Array;
  /** How often each word of the vocabulary occurs in the text. */
  readonly frequencies: readonly number[];
}

/** Words that occur less often than this are left out. */
const FREQUENCY_MIN = 5;

export async function readText(): Promise<Text> {
  const file = await Deno.readFile(new URL("./data/opticks.txt.gz", import.meta.url));
  const plain = new Blob([file]).stream().pipeThrough(new DecompressionStream("gzip"));
  const words = (await new Response(plain).text()).toLowerCase().match(/[a-zæ]+/g) ?? [];
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const kept = [...counts].filter(([, count]) => count >= FREQUENCY_MIN).sort((a, b) => b[1] - a[1]);
  const numbers = new Map(kept.map(([word], number) => [word, number]));
  return {
    vocabulary: kept.map(([word]) => word),
    tokens: Int32Array.from(words.flatMap((word) => numbers.get(word) ?? [])),
    frequencies: kept.map(([, count]) => count),
  };
}

/** Draws word numbers in proportion to frequency ^ exponent. */
export function wordSampler(frequencies: readonly number[], exponent: number): () => number {
  const sums: number[] = [];
  let total = 0;
  for (const frequency of frequencies) sums.push(total += frequency ** exponent);
  return () => {
    const wanted = Math.random() * total;
    let low = 0, high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) <= wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/**
 * Draws a word and one of its neighbours, at most `reach` words away, from `tokens`. The most frequent words
 * ("the", "of") are mostly skipped (Mikolov et al. 2013, "subsampling").
 */
export function pairSampler(
  { tokens, frequencies }: Text,
  { from, to, reach }: { from: number; to: number; reach: number },
): () => [word: number, neighbour: number] {
  const threshold = 3e-4 * tokens.length;
  const kept = (word: number) => Math.random() < Math.sqrt(threshold / (frequencies[word] ?? threshold));
  return () => {
    for (;;) {
      const at = from + Math.floor(Math.random() * (to - from));
      const distance = 1 + Math.floor(Math.random() * reach);
      const other = Math.random() < 0.5 ? at - distance : at + distance;
      const word = tokens[at] ?? 0, neighbour = tokens[other] ?? 0;
      if (other >= from && other < to && kept(word) && kept(neighbour)) return [word, neighbour];
    }
  };
}
