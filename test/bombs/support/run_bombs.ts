/** Runs: many variables, large steps from small bodies, dear rules and aggregators, losses. */
import type { Bomb, Target } from "./target.ts";

const RUN = "/v1/runs/big";
const many = (count: number) => Array.from({ length: count }, (_, at) => `v${at}`);

/** Everything that can be asked of a run, and its end. */
async function useAll(target: Target, gradients: object, rows = "v0"): Promise<void> {
  const step = await target.send("POST", `${RUN}/gradients`, { gradients }, {
    Prefer: "return=representation",
  });
  if (step.status === 200) await target.send("POST", `${RUN}/gradients?dry_run=true`, { gradients });
  for (
    const path of [
      "",
      "/variables",
      "/weights",
      "/optimizer",
      "/slots",
      "/steps",
      "/checkpoint",
      "/rounds/current",
    ]
  ) {
    await target.send("GET", RUN + path);
    await target.send("GET", RUN + path, undefined, { Accept: "application/vnd.safetensors, */*;q=0.1" });
  }
  await target.send("POST", `${RUN}/variables/gather`, { name: rows, indices: [0] });
  await target.send("PATCH", `${RUN}/optimizer`, { config: { learning_rate: 0.5 } });
  await target.send("GET", "/v1/runs");
  await target.send("DELETE", RUN);
}

const manyVariables = (count: number): Bomb => ({
  name: `a run of ${count} variables, all that can be asked of it`,
  throw: async (target) => {
    const names = many(count), variables = names.map((name) => ({ name, shape: [1] }));
    const created = await target.send("POST", "/v1/runs", { id: "big", optimizer: "Adam", variables });
    if (created.status === 201) await useAll(target, Object.fromEntries(names.map((name) => [name, [1]])));
  },
});

const term = "exp(w)*log(abs(g)+1)*cos(w)*(w^1.7)";
const POWERS = {
  class_name: "Powers",
  hyperparameters: { learning_rate: { default: 0.1 } },
  slots: {},
  dense: [`w = w - learning_rate * (${Array(40).fill(term).join(" + ")})`],
};
const TOP = { w: { indices: [1], values: [0.5], flat: true } };

/** A step of all numbers that a body of some bytes asks for. */
const smallBody = (name: string, spec: object, gradients: object = TOP): Bomb => ({
  name: `one number of 20 million: ${name}`,
  hasLongSteps: true,
  throw: async (target) => {
    await target.send("POST", "/v1/optimizers", POWERS);
    const variables = [{ name: "w", shape: [5000, 4000], initial: 0.5 }];
    const created = await target.send("POST", "/v1/runs", {
      id: "big",
      variables,
      durability: "none",
      ...spec,
    });
    if (created.status === 201) await useAll(target, gradients, "w");
  },
});

const AGGREGATORS = [
  "Median",
  { class_name: "TrimmedMean", config: { trim_ratio: 0.1 } },
  { class_name: "Krum", config: { byzantine: 2 } },
  { class_name: "MultiKrum", config: { byzantine: 2 } },
  { class_name: "Bulyan", config: { byzantine: 2 } },
  "GeometricMedian",
];

const rounds = (aggregator: typeof AGGREGATORS[number]): Bomb => ({
  name: `a round of 200 contributions for ${
    typeof aggregator === "string" ? aggregator : aggregator.class_name
  }`,
  hasLongSteps: true,
  throw: async (target) => {
    const variables = [{ name: "w", shape: [200_000] }];
    const aggregation = { mode: "round", quorum: 200, aggregator };
    const { status } = await target.send("POST", "/v1/runs", {
      id: "big",
      optimizer: "SGD",
      variables,
      aggregation,
    });
    if (status !== 201) return;
    const base64 = new Uint8Array(Float32Array.from({ length: 200_000 }, (_, at) => Math.sin(at)).buffer)
      .toBase64();
    const gradients = { w: { dtype: "float32", shape: [200_000], base64 } };
    for (let client = 0; client < 200; client++) {
      await target.send("POST", `${RUN}/gradients`, { gradients, client_id: `client ${client}` });
    }
    await target.send("DELETE", RUN);
  },
});

const LOSSES: Readonly<Record<string, object>> = {
  "a product of large matrices": { loss: "sum((a @ w) @ (a @ w))", inputs: { a: 1 } },
  "16 kB of text": { loss: `sum(w)${" + sum(w)".repeat(1800)}` },
  "10 million inputs": {
    loss: "sum(a) * sum(w)",
    inputs: { a: { dtype: "float32", shape: [10_000_000], base64: "" } },
  },
  "a model of many layers": {
    model: {
      class_name: "Sequential",
      config: {
        name: "m",
        layers: Array.from({ length: 900 }, (_, at) => ({ class_name: "ReLU", config: { name: `l${at}` } })),
      },
    },
    loss: "mse",
    inputs: [[1, 2]],
    targets: [[1, 2]],
  },
};

function longSchedule() {
  const boundaries = Array.from({ length: 90_000 }, (_, at) => at + 1);
  const values = boundaries.map((at) => at % 7 / 10);
  return { class_name: "PiecewiseConstantDecay", config: { boundaries, values: [...values, 1] } };
}

export const RUN_BOMBS: readonly Bomb[] = [
  manyVariables(2_000),
  manyVariables(100_000),
  smallBody("a rule of many powers", { optimizer: { class_name: "Powers", config: {} } }),
  smallBody("Adam", { optimizer: "Adam" }),
  smallBody("SGD with clips and noise", {
    optimizer: { class_name: "SGD", config: { learning_rate: 0.1, global_clipnorm: 1 } },
    gradient_transformers: [{ class_name: "AddGaussianNoise", config: { stddev: 1, seed: 0 } }],
  }),
  smallBody("SGD, rows", { optimizer: "SGD" }, {
    w: { indices: [0, 1], values: [Array(4000).fill(1), Array(4000).fill(1)] },
  }),
  ...AGGREGATORS.map(rounds),
  ...Object.entries(LOSSES).map(([what, loss]): Bomb => ({
    name: `losses of ${what}`,
    settings: { STEPWELL_LOSS_SECONDS: "5" },
    throw: async (target) => {
      await target.create({ id: "big", variables: [{ name: "w", shape: [1000, 1000] }] });
      await target.atOnce(8, "POST", `${RUN}/minimize`, loss);
      await target.atOnce(8, "POST", `${RUN}/compute-gradients`, loss);
    },
  })),
  {
    name: "2000 runs, and lists of them",
    throw: async (target) => {
      const spec = { optimizer: "Adam", variables: [{ name: "w", shape: [4] }], durability: "none" };
      for (let made = 0; made < 2000; made += 50) await target.atOnce(50, "POST", "/v1/runs", spec);
      await target.atOnce(8, "GET", "/v1/runs?limit=1000");
      await target.atOnce(8, "GET", "/metrics");
    },
  },
  {
    name: "60 runs with schedules of 90,000 steps, and lists of them",
    throw: async (target) => {
      const optimizer = { class_name: "SGD", config: { learning_rate: longSchedule() } };
      const spec = { optimizer, variables: [{ name: "w", shape: [4] }] };
      for (let made = 0; made < 60; made += 4) await target.atOnce(4, "POST", "/v1/runs", spec);
      await target.atOnce(4, "GET", "/v1/runs?limit=1000");
    },
  },
  {
    name: "schedules with as many steps as a body holds",
    isQuick: true,
    throw: async (target) => {
      const learning_rate = longSchedule();
      await target.send("PATCH", "/v1/runs/others/optimizer", { config: { learning_rate } });
      await target.stepsOfOthers(20);
      await target.send("GET", "/v1/runs/others");
    },
  },
];
