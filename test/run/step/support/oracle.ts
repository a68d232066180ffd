/**
 * The arithmetic of a step, implemented independently: plain loops over numbers, rounded to float32 after every
 * operation, norms as float64 sums rounded once. It shares nothing with formulas, plans or kernels. It is meant for
 * numbers of ordinary size, since it does not flush subnormal ones.
 */
const { fround: f, max, min, sqrt } = Math;

/** A gradient: all elements, or rows of the variable. */
export type Gradient = { values: number[]; indices?: number[] };

export interface Variable {
  readonly shape: readonly number[];
  w: number[];
  slots: Record<string, number[]>;
}

const sumOfSquares = (g: readonly number[]) => f(g.reduce((sum, x) => sum + f(x * x), 0));
const norm = (g: readonly number[]) => f(sqrt(sumOfSquares(g)));

export const clipByValue = (g: readonly number[], c: number) => g.map((x) => max(min(x, f(c)), -f(c)));

export function clipByNorm(g: readonly number[], c: number): number[] {
  const n = max(norm(g), f(c));
  return g.map((x) => f(f(x * f(c)) / n));
}

export function globalScale(gradients: readonly (readonly number[])[], given: number): number {
  const c = f(given);
  const halves = gradients.reduce((sum, g) => f(sum + f(sumOfSquares(g) / 2)), 0);
  const total = f(sqrt(f(halves * 2)));
  return f(f(c * min(f(1 / total), f(1 / c))) + f(total - total));
}

export const scaled = (g: readonly number[], by: number) => g.map((x) => f(x * f(by)));

/** Minus the mean over all axes but the last. */
export function centralized(g: readonly number[], shape: readonly number[]): number[] {
  if (shape.length < 2) return [...g];
  const width = shape.at(-1) as number;
  const means = Array.from({ length: width }, (_, column) => {
    const own = g.filter((_, at) => at % width === column);
    return f(own.reduce((sum, x) => sum + x, 0) / own.length);
  });
  return g.map((x, at) => f(x - (means[at % width] as number)));
}

export const decayed = (g: readonly number[], w: readonly number[], by: number) =>
  g.map((x, at) => f(x + f(f(by) * (w[at] as number))));

/** Distinct rows in order of first occurrence, each summed from zero in order. */
export function merged({ values, indices = [] }: Gradient): { values: number[]; indices: number[] } {
  const width = indices.length === 0 ? 0 : values.length / indices.length;
  const sums = new Map<number, number[]>();
  indices.forEach((row, at) => {
    const sum = sums.get(row) ?? new Array<number>(width).fill(0);
    sums.set(row, sum.map((s, column) => f(s + (values[at * width + column] as number))));
  });
  return { indices: [...sums.keys()], values: [...sums.values()].flat() };
}

/** Element numbers of the rows `indices` of a variable, one after the other. */
export function places(indices: readonly number[], shape: readonly number[]): number[] {
  const width = shape.slice(1).reduce((product, size) => product * size, 1);
  return indices.flatMap((row) => Array.from({ length: width }, (_, column) => row * width + column));
}

/** An optimizer's update with a transformed gradient, dense or merged rows; T counts from 1. */
export type Rule = (variable: Variable, gradient: Gradient, T: number) => void;

function each(variable: Variable, { values, indices }: Gradient, act: (at: number, g: number) => void): void {
  const where = indices ? places(indices, variable.shape) : values.map((_, at) => at);
  values.forEach((g, n) => act(where[n] as number, g));
}

export const sgd = (rate: number): Rule => (variable, gradient) =>
  each(variable, gradient, (at, g) => variable.w[at] = f((variable.w[at] as number) - f(g * f(rate))));

export const momentum = (rate: number, mu: number): Rule => (variable, gradient) => {
  const { w, slots: { momentum: a = [] } } = variable;
  each(variable, gradient, (at, g) => {
    a[at] = f(f((a[at] as number) * f(mu)) - f(g * f(rate)));
    w[at] = f((w[at] as number) + (a[at] as number));
  });
};

export function adam(rate: number): Rule {
  const b1 = f(0.9), b2 = f(0.999), c1 = f(1 - b1), c2 = f(1 - b2), epsilon = f(1e-7);
  return (variable, gradient, T) => {
    const { w, slots: { m = [], v = [] } } = variable;
    const p1 = f(1 - f(b1 ** T)), p2 = f(sqrt(f(1 - f(b2 ** T))));
    if (!gradient.indices) {
      const alpha = f(f(f(rate) * p2) / p1);
      each(variable, gradient, (at, g) => {
        m[at] = f((m[at] as number) + f(f(g - (m[at] as number)) * c1));
        v[at] = f((v[at] as number) + f(f(f(g * g) - (v[at] as number)) * c2));
        w[at] = f(
          (w[at] as number) - f(f((m[at] as number) * alpha) / f(f(sqrt(v[at] as number)) + epsilon)),
        );
      });
      return;
    }
    const alpha = f(f(rate) * f(p2 / p1));
    m.forEach((x, at) => m[at] = f(x * b1));
    v.forEach((x, at) => v[at] = f(x * b2));
    each(variable, gradient, (at, g) => {
      m[at] = f((m[at] as number) + f(g * c1));
      v[at] = f((v[at] as number) + f(f(g * g) * c2));
    });
    w.forEach((x, at) =>
      w[at] = f(x - f(f(alpha * (m[at] as number)) / f(f(sqrt(v[at] as number)) + epsilon)))
    );
  };
}

export const nonNeg = (w: readonly number[]) => w.map((x) => f(x * (x >= 0 ? 1 : 0)));

/** Scales each column of a matrix to a norm of at most `most`. */
export function maxNorm(w: readonly number[], most: number, width: number): number[] {
  const factors = Array.from({ length: width }, (_, column) => {
    const n = norm(w.filter((_, at) => at % width === column));
    return f(min(max(n, 0), f(most)) / f(f(1e-7) + n));
  });
  return w.map((x, at) => f(x * (factors[at % width] as number)));
}

/** Scales the whole tensor to norm 1. */
export function unitNorm(w: readonly number[]): number[] {
  const n = f(f(1e-7) + norm(w));
  return w.map((x) => f(x / n));
}
