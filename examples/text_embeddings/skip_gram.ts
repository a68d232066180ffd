/**
 * Skip-gram with negative sampling (Mikolov, Sutskever, Chen, Corrado, Dean 2013): loss and gradients of one batch,
 * by hand. The gradients touch only the rows of the batch's words, so they are sparse: indices, and one gradient
 * row for each. An index may be repeated; the service sums its rows.
 *
 * Loss of a word and its neighbour: -log σ(u·v) - Σ log σ(-u·n) over words n drawn at random.
 */

export interface Batch {
  /** [pairs]: rows of the table of words. */
  readonly words: readonly number[];
  /** [pairs × (1 + negatives)]: rows of the table of contexts; for each pair the neighbour, then random words. */
  readonly contexts: readonly number[];
}

export interface SkipGramStep {
  /** Mean over the pairs. */
  readonly loss: number;
  /** Gradients of the sum over the pairs: [pairs, width] and [pairs × (1 + negatives), width]. */
  readonly words: Float32Array;
  readonly contexts: Float32Array;
}

export function skipGramStep(
  batch: Batch,
  rows: { words: Float32Array; contexts: Float32Array },
  width: number,
): SkipGramStep {
  const pairs = batch.words.length, each = batch.contexts.length / pairs;
  const words = new Float32Array(rows.words.length), contexts = new Float32Array(rows.contexts.length);
  let loss = 0;
  for (let k = 0; k < batch.contexts.length; k += 1) {
    const pair = Math.floor(k / each);
    const target = k % each === 0 ? 1 : 0;
    let dot = 0;
    for (let j = 0; j < width; j += 1) {
      dot += (rows.words[pair * width + j] ?? 0) * (rows.contexts[k * width + j] ?? 0);
    }
    const likely = 1 / (1 + Math.exp(-dot));
    loss -= Math.log(Math.max(target === 1 ? likely : 1 - likely, 1e-12));
    const slope = likely - target;
    for (let j = 0; j < width; j += 1) {
      words[pair * width + j] = (words[pair * width + j] ?? 0) + slope * (rows.contexts[k * width + j] ?? 0);
      contexts[k * width + j] = slope * (rows.words[pair * width + j] ?? 0);
    }
  }
  return { loss: loss / pairs, words, contexts };
}

/** The `count` rows of a [rows, width] table with the largest cosine similarity to row `row`, nearest first. */
export function nearest(table: Float32Array, width: number, row: number, count: number): number[] {
  const direction = (i: number) => {
    const values = table.subarray(i * width, (i + 1) * width);
    const length = Math.hypot(...values);
    return values.map((value) => value / length);
  };
  const wanted = direction(row);
  const scores = Array.from({ length: table.length / width }, (_, i) => ({
    row: i,
    score: direction(i).reduce((sum, value, j) => sum + value * (wanted[j] ?? 0), 0),
  }));
  return scores.filter((each) => each.row !== row).sort((a, b) => b.score - a.score).slice(0, count)
    .map((each) => each.row);
}
