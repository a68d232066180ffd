/**
 * The worked rules of docs/formulas.md in float64 and plain TypeScript, written from their papers. The formulas are
 * compared with them. Each is a step of one variable.
 */

/** One variable and its slots. */
export interface Variable {
  w: number[];
  /** The number of the step, from 1. */
  T: number;
  readonly kept: Record<string, number[]>;
  a: number;
}

/** Moves the variable along `g`; `p` are the hyperparameters. */
type Rule = (variable: Variable, g: readonly number[], p: Record<string, number>) => void;

const dot = (x: readonly number[], y: readonly number[]) =>
  x.reduce((sum, value, i) => sum + value * at(y, i), 0);
const length = (x: readonly number[]) => Math.hypot(...x);
/** x[i] = f(x[i], i) for each element of the slot with this name. */
function update({ kept, w }: Variable, name: string, f: (x: number, i: number) => number): number[] {
  return kept[name] = (kept[name] ?? w.map(() => 0)).map(f);
}
const at = (x: readonly number[], i: number) => x[i] as number;

export const WORKED_RULES: Readonly<Record<string, Rule>> = {
  HeavyBall(x, g, { learning_rate: eta = 0, mu = 0 }) {
    const v = update(x, "v", (v, i) => mu * v + at(g, i));
    x.w = x.w.map((w, i) => w - eta * at(v, i));
  },
  Nesterov1983(x, g, { learning_rate: eta = 0 }) {
    const before = x.a;
    x.a = (1 + Math.sqrt(1 + 4 * before ** 2)) / 2;
    const old = x.kept["x"] ?? x.w;
    const next = x.kept["x"] = x.w.map((y, i) => y - eta * at(g, i));
    x.w = next.map((value, i) => value + (before - 1) / x.a * (value - at(old, i)));
  },
  SignumSparse(x, g, { learning_rate: eta = 0, beta = 0 }) {
    const v = update(x, "v", (v, i) => beta * v + (1 - beta) * at(g, i));
    x.w = x.w.map((w, i) => w - eta * Math.sign(at(v, i)));
  },
  AdaBelief(x, g, { learning_rate: eta = 0, beta_1: b1 = 0, beta_2: b2 = 0, epsilon = 0 }) {
    const m = update(x, "m", (m, i) => b1 * m + (1 - b1) * at(g, i));
    const s = update(x, "s", (s, i) => b2 * s + (1 - b2) * (at(g, i) - at(m, i)) ** 2 + epsilon);
    x.w = x.w.map((w, i) =>
      w - eta * at(m, i) / (1 - b1 ** x.T) / (Math.sqrt(at(s, i) / (1 - b2 ** x.T)) + epsilon)
    );
  },
  Adan(x, g, p) {
    const {
      learning_rate: eta = 0,
      beta_1: b1 = 0,
      beta_2: b2 = 0,
      beta_3: b3 = 0,
      epsilon = 0,
      weight_decay = 0,
    } = p;
    const old = x.kept["g"] ?? g;
    const m = update(x, "m", (m, i) => (1 - b1) * m + b1 * at(g, i));
    const v = update(x, "v", (v, i) => (1 - b2) * v + b2 * (at(g, i) - at(old, i)));
    const n = update(
      x,
      "n",
      (n, i) => (1 - b3) * n + b3 * (at(g, i) + (1 - b2) * (at(g, i) - at(old, i))) ** 2,
    );
    x.w = x.w.map((w, i) =>
      (w - eta * (at(m, i) + (1 - b2) * at(v, i)) / (Math.sqrt(at(n, i)) + epsilon)) /
      (1 + weight_decay * eta)
    );
    x.kept["g"] = [...g];
  },
  NovoGrad(x, g, { learning_rate: eta = 0, beta_1: b1 = 0, beta_2: b2 = 0, epsilon = 0, weight_decay = 0 }) {
    const squares = length(g) ** 2;
    const v = x.T === 1 ? squares : b2 * at(x.kept["v"] as number[], 0) + (1 - b2) * squares;
    x.kept["v"] = [v];
    const m = update(
      x,
      "m",
      (m, i) => b1 * m + at(g, i) / (Math.sqrt(v) + epsilon) + weight_decay * at(x.w, i),
    );
    x.w = x.w.map((w, i) => w - eta * at(m, i));
  },
  RAdam(x, g, { learning_rate: eta = 0, beta_1: b1 = 0, beta_2: b2 = 0, epsilon = 0 }) {
    const m = update(x, "m", (m, i) => b1 * m + (1 - b1) * at(g, i));
    const v = update(x, "v", (v, i) => b2 * v + (1 - b2) * at(g, i) ** 2);
    const longest = 2 / (1 - b2) - 1;
    const rho = longest - 2 * x.T * b2 ** x.T / (1 - b2 ** x.T);
    const rest = Math.sqrt((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho));
    x.w = x.w.map((w, i) => {
      const mean = at(m, i) / (1 - b1 ** x.T);
      if (rho <= 4) return w - eta * mean;
      return w - eta * rest * mean * Math.sqrt(1 - b2 ** x.T) / (Math.sqrt(at(v, i)) + epsilon);
    });
  },
  LARS(x, g, { learning_rate: eta = 0, mu = 0, trust = 0, weight_decay = 0 }) {
    const rate = eta * trust * length(x.w) / (length(g) + weight_decay * length(x.w));
    const v = update(x, "v", (v, i) => mu * v + rate * (at(g, i) + weight_decay * at(x.w, i)));
    x.w = x.w.map((w, i) => w - at(v, i));
  },
  QHM(x, g, { learning_rate: eta = 0, beta = 0, nu = 0 }) {
    const m = update(x, "m", (m, i) => beta * m + (1 - beta) * at(g, i));
    x.w = x.w.map((w, i) => w - eta * ((1 - nu) * at(g, i) + nu * at(m, i)));
  },
  AggMo(x, g, { learning_rate: eta = 0, beta_2: b2 = 0, beta_3: b3 = 0 }) {
    const all = [0, b2, b3].map((b, k) => update(x, `v${k}`, (v, i) => b * v - at(g, i)));
    x.w = x.w.map((w, i) => w + eta / 3 * all.reduce((sum, v) => sum + at(v, i), 0));
  },
  DiffGrad(x, g, { learning_rate: eta = 0, beta_1: b1 = 0, beta_2: b2 = 0, epsilon = 0 }) {
    const m = update(x, "m", (m, i) => b1 * m + (1 - b1) * at(g, i));
    const v = update(x, "v", (v, i) => b2 * v + (1 - b2) * at(g, i) ** 2);
    const old = x.kept["g"] ?? g.map(() => 0);
    x.w = x.w.map((w, i) => {
      const friction = 1 / (1 + Math.exp(-Math.abs(at(old, i) - at(g, i))));
      return w -
        eta * friction * at(m, i) / (1 - b1 ** x.T) / (Math.sqrt(at(v, i) / (1 - b2 ** x.T)) + epsilon);
    });
    x.kept["g"] = [...g];
  },
  ADOPT(x, g, { learning_rate: eta = 0, beta_1: b1 = 0, beta_2: b2 = 0, epsilon = 0 }) {
    if (x.T === 1) return void update(x, "v", (_, i) => at(g, i) ** 2);
    const bound = (x.T - 1) ** 0.25, before = x.kept["v"] as number[];
    const m = update(x, "m", (m, i) => {
      const normal = at(g, i) / Math.max(Math.sqrt(at(before, i)), epsilon);
      return b1 * m + (1 - b1) * Math.min(Math.max(normal, -bound), bound);
    });
    x.w = x.w.map((w, i) => w - eta * at(m, i));
    update(x, "v", (v, i) => b2 * v + (1 - b2) * at(g, i) ** 2);
  },
  SGDP(x, g, { learning_rate: eta = 0, mu = 0, delta = 0, epsilon = 0 }) {
    const p = update(x, "p", (p, i) => mu * p + at(g, i));
    const size = length(x.w) + epsilon;
    const cosine = Math.abs(dot(x.w, g)) / (length(g) * length(x.w) + epsilon);
    const along = cosine < delta / Math.sqrt(g.length) ? dot(x.w, p) / size : 0;
    x.w = x.w.map((w, i) => w - eta * (at(p, i) - along * w / size));
  },
  Lookahead(x, g, { learning_rate: eta = 0, mu = 0, k = 0, alpha = 0 }) {
    const slow = x.kept["slow"] ??= x.w;
    const v = update(x, "v", (v, i) => mu * v + at(g, i));
    x.w = x.w.map((w, i) => w - eta * at(v, i));
    if (x.T % k === 0) x.w = x.kept["slow"] = slow.map((w, i) => w + alpha * (at(x.w, i) - w));
  },
  ScheduleFree(x, g, { learning_rate: eta = 0, beta = 0 }) {
    x.kept["z"] ??= x.w;
    x.kept["x"] ??= x.w;
    const z = update(x, "z", (z, i) => z - eta * at(g, i));
    const mean = update(x, "x", (mean, i) => (1 - 1 / x.T) * mean + at(z, i) / x.T);
    x.w = z.map((z, i) => (1 - beta) * z + beta * at(mean, i));
  },
  COCOB(x, g, { alpha = 0 }) {
    const first = x.kept["first"] ??= x.w;
    const L = update(x, "L", (most, i) => Math.max(most, 1e-8, Math.abs(at(g, i))));
    const G = update(x, "G", (sum, i) => sum + Math.abs(at(g, i)));
    const reward = update(x, "reward", (r, i) => Math.max(r - at(g, i) * (at(x.w, i) - at(first, i)), 0));
    const theta = update(x, "theta", (theta, i) => theta - at(g, i));
    x.w = first.map((w, i) => {
      const bet = at(theta, i) / (at(L, i) * Math.max(at(G, i) + at(L, i), alpha * at(L, i)));
      return w + bet * (at(L, i) + at(reward, i));
    });
  },
};
