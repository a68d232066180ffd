/**
 * The arithmetic of rounds, implemented independently: plain loops over numbers, rounded to float32 after every
 * operation, in order of acceptance. It shares nothing with staging, sums, kernels or journals. It is meant for
 * numbers of ordinary size, and for tensors within one block of a reduction.
 */
import { type Gradient, merged, places } from "../step/support/oracle.ts";

const f = Math.fround;
const add = (a: number, b: number) => a + b;

export interface Tensor extends Gradient {
  readonly name: string;
}

export interface VariablePlan {
  readonly name: string;
  readonly shape: readonly number[];
  readonly initial: number[];
  readonly isAverage: boolean;
}

/** How contributions become a gradient. */
export interface Aggregation {
  readonly aggregator:
    | { readonly class_name: "Sum" | "Mean" | "WeightedMean" | "Median" }
    | { readonly class_name: "NormBoundedMean"; readonly config: { readonly norm_bound: number } }
    | { readonly class_name: "TrimmedMean"; readonly config: { readonly trim_ratio: number } }
    | { readonly class_name: "Krum" | "MultiKrum"; readonly config: { readonly byzantine: number } };
  readonly payload: "gradient" | "delta" | "weights";
  readonly staleness_weighting:
    | { readonly class_name: "Constant" }
    | { readonly class_name: "Polynomial"; readonly config: { readonly exponent: 1 } }
    | { readonly class_name: "Hinge"; readonly config: { readonly a: number; readonly b: number } };
  readonly client_clipnorm: number | null;
}

/**
 * Float64 sum in the order of reductions: 16 lanes, a tree over the even ones and one over the odd, then the rest.
 */
function sumInOrder(terms: readonly number[]): number {
  const full = terms.length - terms.length % 16;
  const lane = (n: number) => {
    let sum = 0;
    for (let at = n; at < full; at += 16) sum += terms[at] as number;
    return sum;
  };
  const tree = (parity: number, from: number, count: number): number =>
    count === 1
      ? lane(2 * from + parity)
      : tree(parity, from, count / 2) + tree(parity, from + count / 2, count / 2);
  return tree(0, 0, 8) + tree(1, 0, 8) + terms.slice(full).reduce(add, 0);
}

/** Sum of squares of received values; for values computed here, the sum is rounded. */
export const squaresOf = (values: readonly number[]) => sumInOrder(values.map((x) => f(x * x)));
export const roundedSquaresOf = (values: readonly number[]) => f(squaresOf(values));

function stalenessFactor({ staleness_weighting: rule }: Aggregation, staleness: number): number {
  if (rule.class_name === "Constant") return 1;
  if (rule.class_name === "Polynomial") return f(1 / f(1 + staleness));
  const { a, b } = rule.config;
  return staleness <= b ? 1 : f(1 / f(f(f(a) * f(staleness - b)) + 1));
}

/** A prepared contribution: its pseudo-gradient and its factor. */
export interface Prepared {
  readonly gradients: readonly Tensor[];
  readonly averages: readonly Tensor[];
  readonly norm: number;
  readonly norms: Readonly<Record<string, number>>;
  readonly clipFactor: number;
  readonly factor: number;
}

export function prepared(
  rules: Aggregation,
  tensors: readonly Tensor[],
  { variables, averages, staleness }: {
    readonly variables: Readonly<Record<string, { readonly shape: readonly number[]; readonly w: number[] }>>;
    readonly averages: ReadonlySet<string>;
    readonly staleness: number;
  },
): Prepared {
  const { aggregator, payload, client_clipnorm } = rules;
  const pseudo = ({ name, values, indices }: Tensor): { tensor: Tensor; squares: number } => {
    const { shape, w } = variables[name] as { shape: readonly number[]; w: number[] };
    if (payload !== "weights") {
      return { tensor: { name, values, ...indices && { indices } }, squares: squaresOf(values) };
    }
    const from = indices ? places(indices, shape).map((at) => w[at] as number) : w;
    const difference = values.map((x, at) => f((from[at] as number) - x));
    if (!indices) return { tensor: { name, values: difference }, squares: roundedSquaresOf(difference) };
    const width = difference.length / indices.length;
    const rows = indices.map((_, row) => squaresOf(difference.slice(row * width, (row + 1) * width)));
    return { tensor: { name, values: difference, indices }, squares: f(rows.reduce(add, 0)) };
  };
  const gradients = tensors.filter(({ name }) => !averages.has(name)).map(pseudo);
  const norm = Math.sqrt(gradients.map(({ squares }) => squares).reduce(add, 0));
  const bound = Math.min(
    client_clipnorm ?? Infinity,
    aggregator.class_name === "NormBoundedMean" ? aggregator.config.norm_bound : Infinity,
  );
  const clipFactor = norm > bound ? f(bound / norm) : 1;
  return {
    gradients: gradients.map(({ tensor }) => tensor),
    averages: tensors.filter(({ name }) => averages.has(name)),
    norm,
    norms: Object.fromEntries(gradients.map(({ tensor: { name }, squares }) => [name, Math.sqrt(squares)])),
    clipFactor,
    factor: f(f((payload === "delta" ? -1 : 1) * clipFactor) * stalenessFactor(rules, staleness)),
  };
}

export type Weighted = Prepared & { readonly weight: number };

const scaled = (values: readonly number[], by: number) => values.map((x) => f(by * x));
const total = (vectors: readonly (readonly number[])[]) =>
  vectors.slice(1).reduce<number[]>(
    (sum, vector) => sum.map((x, at) => f(x + (vector[at] as number))),
    [...(vectors[0] ?? [])],
  );

/** Combines all contributions to one gradient, tensor by tensor. */
export function combined({ aggregator }: Aggregation, all: readonly Weighted[]): Tensor[] {
  const names = [...new Set(all.flatMap(({ gradients }) => gradients.map(({ name }) => name)))];
  const { class_name } = aggregator;
  if (["Sum", "Mean", "WeightedMean", "NormBoundedMean"].includes(class_name)) {
    return names.map((name) => summed(class_name, all, name));
  }
  const vectors = all.map(({ gradients, factor }) =>
    names.map((name) => scaled((gradients.find((each) => each.name === name) as Tensor).values, factor))
  );
  const values = held(aggregator, vectors, all.map(({ weight }) => weight));
  return names.map((name, place) => ({ name, values: values[place] as number[] }));
}

function summed(rule: string, all: readonly Weighted[], name: string): Tensor {
  const parts = all.flatMap(({ gradients, factor, weight }) =>
    gradients.filter((each) => each.name === name).map(({ values, indices }) => ({
      values: scaled(values, rule === "WeightedMean" ? f(factor * f(weight)) : factor),
      indices,
      weight,
    }))
  );
  const by = rule === "Sum"
    ? 1
    : rule === "WeightedMean"
    ? f(parts.map(({ weight }) => weight).reduce(add, 0))
    : parts.length;
  const sparse = parts.filter(({ indices }) => indices);
  const rows = merged({
    values: sparse.flatMap(({ values }) => values),
    indices: sparse.flatMap(({ indices }) => indices ?? []),
  });
  if (sparse.length === parts.length) {
    return { name, indices: rows.indices, values: rows.values.map((x) => f(x / by)) };
  }
  const values = total(parts.filter(({ indices }) => !indices).map(({ values }) => values));
  const width = rows.values.length / rows.indices.length;
  rows.values.forEach((x, n) => {
    const at = (rows.indices[Math.floor(n / width)] as number) * width + n % width;
    values[at] = f((values[at] as number) + x);
  });
  return { name, values: values.map((x) => f(x / by)) };
}

/** Indexed by contribution and tensor. */
type Vectors = readonly (readonly (readonly number[])[])[];

function held(
  aggregator: Aggregation["aggregator"],
  vectors: Vectors,
  weights: readonly number[],
): number[][] {
  const count = vectors.length;
  const [first = []] = vectors;
  const ranks = (from: number, to: number) =>
    first.map((tensor, place) =>
      tensor.map((_, at) => {
        const rising = vectors.map((each) => each[place]?.[at] as number).sort((a, b) => a - b);
        return f(rising.slice(from, to).reduce(add, 0) / (to - from));
      })
    );
  if (aggregator.class_name === "Median") return ranks((count - 1) >> 1, (count >> 1) + 1);
  if (aggregator.class_name === "TrimmedMean") {
    const cut = Math.floor(aggregator.config.trim_ratio * count);
    return ranks(cut, count - cut);
  }
  if (aggregator.class_name !== "Krum" && aggregator.class_name !== "MultiKrum") {
    throw new Error(`${aggregator.class_name} holds nothing`);
  }
  const { byzantine } = aggregator.config;
  const chosen = krumOrder(vectors, byzantine).slice(
    0,
    aggregator.class_name === "Krum" ? 1 : count - byzantine - 2,
  );
  const best = chosen.sort((a, b) => a - b);
  const heaviest = Math.max(...best.map((place) => weights[place] as number));
  const shares = best.map((place) => f((weights[place] as number) / heaviest));
  const by = aggregator.class_name === "Krum" ? 1 : f(shares.reduce(add, 0));
  return first.map((_, at) =>
    total(best.map((place, n) => {
      const factor = aggregator.class_name === "Krum" ? 1 : shares[n] as number;
      return scaled(vectors[place]?.[at] as readonly number[], factor);
    })).map((x) => f(x / by))
  );
}

/** Contributions in order of the sum of squared distances to their nearest others. */
function krumOrder(vectors: Vectors, byzantine: number): number[] {
  const distance = (a: Vectors[number], b: Vectors[number]) =>
    a.map((tensor, place) => sumInOrder(tensor.map((x, at) => (x - (b[place]?.[at] as number)) ** 2))).reduce(
      add,
      0,
    );
  const scores = vectors.map((a) =>
    vectors.filter((b) => b !== a).map((b) => distance(a, b)).sort((x, y) => x - y)
      .slice(0, vectors.length - byzantine - 2).reduce(add, 0)
  );
  return [...scores.keys()].sort((a, b) => (scores[a] as number) - (scores[b] as number));
}

/** The weighted mean of the clients' values of a variable. */
export function averaged(all: readonly Weighted[], name: string): number[] | undefined {
  const parts = all.flatMap(({ averages, weight }) =>
    averages.filter((each) => each.name === name).map(({ values }) => ({ values, weight }))
  );
  if (parts.length === 0) return undefined;
  const by = f(parts.map(({ weight }) => weight).reduce(add, 0));
  return total(parts.map(({ values, weight }) => scaled(values, f(weight)))).map((x) => f(x / by));
}
