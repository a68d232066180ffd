/**
 * The handwritten digits (source: data/SOURCE.md) as numbers: 1797 images of 8 x 8 pixels, each labelled 0 to 9.
 */
import { shuffled } from "./random.ts";

export const PIXELS = 64;
export const CLASSES = 10;

export interface Digits {
  readonly count: number;
  /** [count, 64], grey levels divided by 16. */
  readonly images: Float32Array;
  /** [count], 0 to 9. */
  readonly labels: Int32Array;
}

/** Every fifth image is a test image. The split never changes, and both parts have images of all writers. */
export async function readDigits(): Promise<{ train: Digits; test: Digits }> {
  const file = await Deno.readFile(new URL("./data/digits.csv.gz", import.meta.url));
  const text = new Blob([file]).stream().pipeThrough(new DecompressionStream("gzip"));
  const rows = (await new Response(text).text()).trim().split("\n").map((line) =>
    line.split(",").map(Number)
  );
  return {
    train: collect(rows.filter((_, index) => index % 5 !== 4)),
    test: collect(rows.filter((_, index) => index % 5 === 4)),
  };
}

/** The part of `digits` that client `client` of `clients` holds. No image is in two parts. */
export function shard(digits: Digits, client: number, clients: number): Digits {
  const rows: number[][] = [];
  for (let i = client; i < digits.count; i += clients) {
    rows.push([...imageOf(digits, i).map((level) => level * 16), digits.labels[i] ?? 0]);
  }
  return collect(rows);
}

/** `size` images of `digits`, drawn at random with replacement. */
export function drawBatch(digits: Digits, size: number, random: () => number): Digits {
  return pick(digits, Array.from({ length: size }, () => Math.floor(random() * digits.count)));
}

/** One epoch: all images of `digits` in random order, in batches of `size`. The last batch may be smaller. */
export function* batches(digits: Digits, size: number, random: () => number): Generator<Digits> {
  const order = shuffled(digits.count, random);
  for (let i = 0; i < order.length; i += size) yield pick(digits, order.slice(i, i + size));
}

function pick(digits: Digits, chosen: readonly number[]): Digits {
  const images = new Float32Array(chosen.length * PIXELS);
  chosen.forEach((i, k) => images.set(imageOf(digits, i), k * PIXELS));
  return { count: chosen.length, images, labels: Int32Array.from(chosen, (i) => digits.labels[i] ?? 0) };
}

function imageOf(digits: Digits, i: number): Float32Array {
  return digits.images.subarray(i * PIXELS, (i + 1) * PIXELS);
}

/** Parses rows of 64 grey levels (0 to 16) and a label. */
function collect(rows: readonly number[][]): Digits {
  const images = new Float32Array(rows.length * PIXELS), labels = new Int32Array(rows.length);
  rows.forEach((row, i) => {
    for (let pixel = 0; pixel < PIXELS; pixel += 1) images[i * PIXELS + pixel] = (row[pixel] ?? 0) / 16;
    labels[i] = row[PIXELS] ?? 0;
  });
  return { count: rows.length, images, labels };
}
