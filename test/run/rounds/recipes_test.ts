/** The README's recipes, read from there: each makes a run whose rounds equal plain arithmetic. */
import assert from "node:assert/strict";
import { noiseAt } from "../../kernels/noise/support/noise_law.ts";
import { random } from "../../kernels/support/special.ts";
import { type Service, startService } from "../../routes/support/harness.ts";

interface Spec {
  readonly optimizer: { readonly config: Readonly<Record<string, number>> };
  readonly aggregation: {
    readonly quorum?: number;
    readonly buffer_size?: number;
    readonly payload: "delta" | "weights";
    readonly client_clipnorm?: number;
    readonly noise?: { readonly stddev: number; readonly seed: number };
  };
}

/** One client's update in a round. */
interface Update {
  readonly delta: readonly number[];
  readonly weight: number;
  readonly staleness: number;
}

const SIZE = 5, ROUNDS = 3;
const INITIAL = [0.5, -1, 2, 0, 1.5];

const README = Deno.readTextFileSync(new URL("../../../README.md", import.meta.url));
const SECTION = /^### Recipes\n([^]*?)^##/m.exec(README)?.[1] ?? "";
const RECIPES = new Map(
  [...SECTION.matchAll(/^\*\*(.+?)\*\*[^]*?^```json\n([^]*?)^```/gm)].map(([, name = "", json = ""]) =>
    [name, JSON.parse(json) as Spec] as const
  ),
);

/** Combines the updates element by element. */
const across = (updates: readonly Update[], of: (values: number[]) => number) =>
  INITIAL.map((_, n) => of(updates.map(({ delta }) => delta[n] as number)));
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

const mean = (updates: readonly Update[]) => across(updates, (values) => sum(values) / values.length);

function weightedMean(updates: readonly Update[]): number[] {
  const total = sum(updates.map(({ weight }) => weight));
  return across(updates, (values) => sum(values.map((x, n) => x * (updates[n] as Update).weight)) / total);
}

const scaled = (update: Update, by: number): Update => ({
  ...update,
  delta: update.delta.map((x) => x * by),
});

const fedBuff = (updates: readonly Update[]) =>
  mean(updates.map((update) => scaled(update, 1 / Math.sqrt(1 + update.staleness))));

const trimmedMean = (updates: readonly Update[]) =>
  across(updates, (values) => {
    const cut = Math.floor(0.2 * values.length);
    return sum(values.toSorted((a, b) => a - b).slice(cut, -cut)) / (values.length - 2 * cut);
  });

function privateMean(updates: readonly Update[], spec: Spec, iteration: number): number[] {
  const { client_clipnorm: bound = NaN, noise = { stddev: NaN, seed: NaN } } = spec.aggregation;
  const clipped = updates.map((update) => scaled(update, Math.min(1, bound / Math.hypot(...update.delta))));
  // Noise is added to the sum of the pseudo-gradients, which are the negative deltas.
  return mean(clipped).map((x, n) =>
    x - noiseAt({ ...noise, stream: 0, iteration, variable: 0 }, n) / updates.length
  );
}

/** The server's rule for one element of the mean change d, with slots that start at 0. */
type Server = (d: number, slots: [number, number], c: Spec["optimizer"]["config"], T: number) => number;

const sgd: Server = (d, slots, { learning_rate: rate = NaN, momentum = 0 }) =>
  slots[0] = momentum * slots[0] + rate * d;
const nesterov: Server = (d, slots, config, T) =>
  (config["momentum"] as number) * sgd(d, slots, config, T) + (config["learning_rate"] as number) * d;
const adaptive =
  (second: (v: number, d: number, b2: number) => number, { corrected = false } = {}): Server =>
  (d, slots, { learning_rate = NaN, beta_1 = 0, beta_2 = NaN, epsilon = NaN }, T) => {
    slots[0] = beta_1 * slots[0] + (1 - beta_1) * d;
    slots[1] = second(slots[1], d, beta_2);
    const rate = corrected ? learning_rate * Math.sqrt(1 - beta_2 ** T) / (1 - beta_1 ** T) : learning_rate;
    return rate * slots[0] / (Math.sqrt(slots[1]) + epsilon);
  };

type Combine = (updates: readonly Update[], spec: Spec, iteration: number) => number[];

const EXPECTED: Readonly<Record<string, { combine: Combine; server: Server }>> = {
  FedAvg: { combine: weightedMean, server: sgd },
  FedAvgM: { combine: weightedMean, server: sgd },
  FedAdam: {
    combine: weightedMean,
    server: adaptive((v, d, b2) => b2 * v + (1 - b2) * d * d, { corrected: true }),
  },
  FedYogi: {
    combine: weightedMean,
    server: adaptive((v, d, b2) => v - (1 - b2) * d * d * Math.sign(v - d * d)),
  },
  FedAdagrad: { combine: weightedMean, server: adaptive((v, d) => v + d * d) },
  FedBuff: { combine: fedBuff, server: sgd },
  DiLoCo: { combine: mean, server: nesterov },
  "Robust mean": { combine: trimmedMean, server: sgd },
  "Private mean": { combine: privateMean, server: sgd },
};

async function valuesOf({ send }: Service): Promise<number[]> {
  const { variables } = await (await send("GET", "/v1/runs/recipe/variables")).json();
  return variables.w;
}

/** Sends the updates. The last one closes the round. */
async function contribute(
  { send }: Service,
  { updates, payload, iterations, w }: {
    updates: readonly Update[];
    payload: string;
    iterations: number;
    w: readonly number[];
  },
): Promise<void> {
  for (const [n, { delta, weight, staleness }] of updates.entries()) {
    const response = await send("POST", "/v1/runs/recipe/gradients", {
      body: {
        gradients: { w: payload === "weights" ? delta.map((d, at) => (w[at] as number) + d) : delta },
        base_iteration: iterations - staleness,
        client_id: `client-${n}`,
        weight,
      },
    });
    const answer = await response.json();
    assert.equal(response.status, n === updates.length - 1 ? 200 : 202, JSON.stringify(answer));
  }
}

Deno.test("README has exactly the recipes that are tested here", () => {
  assert.deepEqual([...RECIPES.keys()], Object.keys(EXPECTED));
});

for (const [name, spec] of RECIPES) {
  Deno.test(`the recipe ${name} makes the steps of its paper`, async () => {
    const service = startService();
    const variables = [{ name: "w", shape: [SIZE], initial: INITIAL }];
    const created = await service.send("POST", "/v1/runs", { body: { id: "recipe", ...spec, variables } });
    assert.equal(created.status, 201, await created.text());
    const { combine, server } = EXPECTED[name] as typeof EXPECTED[string];
    const { quorum, buffer_size, payload } = spec.aggregation;
    const clients = quorum ?? buffer_size as number;
    const next = random(clients);
    const slots = INITIAL.map((): [number, number] => [0, 0]);
    for (let T = 1; T <= ROUNDS; T++) {
      const w = await valuesOf(service);
      const updates = Array.from({ length: clients }, (_, n): Update => {
        // In the robust recipe, two clients are hostile. Only a buffer accepts stale updates.
        const hostile = name === "Robust mean" && n < 2;
        const delta = INITIAL.map((_, at) => hostile ? (n === 0 ? 1e6 : -1e6) : next() + at - 2);
        return { delta, weight: 1 + n, staleness: buffer_size === undefined ? 0 : n % T };
      });
      await contribute(service, { updates, payload, iterations: T - 1, w });
      const changes = combine(updates, spec, T - 1)
        .map((d, n) => server(d, slots[n] as [number, number], spec.optimizer.config, T));
      const wanted = w.map((x, n) => x + (changes[n] as number));
      const found = await valuesOf(service);
      wanted.forEach((x, n) =>
        assert(Math.abs((found[n] as number) - x) < 3e-6, `round ${T}: ${found} for ${wanted}`)
      );
    }
  });
}
