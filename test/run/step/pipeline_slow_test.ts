/** clipvalue → clipnorm → global_clipnorm → gradient transformers → rule → constraint, against plain loops. */
import assert from "node:assert/strict";
import type { Session } from "../../../src/run/session/session.ts";
import { newRegistry, numbers, open, slotsOf, step, tensor, variablesOf } from "../support/harness.ts";
import * as oracle from "./support/oracle.ts";

type Transformer = [class_name: string, config: Record<string, number>];
type Clips = { clipvalue?: number; clipnorm?: number; global_clipnorm?: number };
type Constraint = { class_name: string; config: Record<string, unknown> };

const SHAPES = { A: [5, 3], B: [7] };
type Name = keyof typeof SHAPES;
const NAMES = Object.keys(SHAPES) as Name[];
const byName = <T>(of: (name: Name, n: number) => T): Record<Name, T> => ({ A: of("A", 0), B: of("B", 1) });
const count = (name: Name) => SHAPES[name].reduce((product, size) => product * size, 1);

const OPTIMIZERS = [
  { class_name: "SGD", config: { learning_rate: 0.1 }, slots: [], rule: oracle.sgd(0.1) },
  {
    class_name: "SGD",
    config: { learning_rate: 0.1, momentum: 0.9 },
    slots: ["momentum"],
    rule: oracle.momentum(0.1, 0.9),
  },
  { class_name: "Adam", config: { learning_rate: 0.1 }, slots: ["m", "v"], rule: oracle.adam(0.1) },
];

const CLIPS: Clips[] = [
  {},
  { clipvalue: 0.5 },
  { clipnorm: 1.5 },
  { clipnorm: 100 },
  { global_clipnorm: 2 },
  { clipvalue: 0.7, clipnorm: 1 },
  { clipvalue: 0.7, global_clipnorm: 1 },
];

const TRANSFORMERS: Transformer[][] = [
  [],
  [["Scale", { scale: -0.3 }]],
  [["Centralize", {}]],
  [["AddDecayedWeights", { weight_decay: 0.1 }]],
  [["ClipByValue", { clip_value: 0.4 }]],
  [["ClipByNorm", { clip_norm: 0.8 }]],
  [["Scale", { scale: 3 }], ["Scale", { scale: 0.7 }]],
  [["AddDecayedWeights", { weight_decay: 0.1 }], ["AddDecayedWeights", { weight_decay: 0.01 }]],
  [["Scale", { scale: 3 }], ["Centralize", {}], ["ClipByValue", { clip_value: 0.4 }]],
  [["ClipByNorm", { clip_norm: 1.1 }], ["AddDecayedWeights", { weight_decay: 0.1 }], ["Scale", { scale: 2 }]],
  [["AddDecayedWeights", { weight_decay: 0.1 }], ["ClipByNorm", { clip_norm: 0.8 }], ["Centralize", {}]],
  [["AddDecayedWeights", { weight_decay: 0.1 }], ["Centralize", {}], ["ClipByNorm", { clip_norm: 0.8 }]],
];

const CONSTRAINTS: (Constraint | undefined)[] = [
  undefined,
  { class_name: "NonNeg", config: {} },
  { class_name: "MaxNorm", config: { max_value: 0.9, axis: 0 } },
  { class_name: "UnitNorm", config: { axis: null } },
];

interface Pipeline {
  readonly optimizer: typeof OPTIMIZERS[number];
  readonly clips: Clips;
  readonly transformers: readonly Transformer[];
  readonly constraint?: Constraint | undefined;
}

/** The gradients as the rule gets them; where a transformer reads a variable, sparse rows are merged first. */
function transform(
  { clips: { clipvalue, clipnorm, global_clipnorm }, transformers, optimizer }: Pipeline,
  variables: Record<Name, oracle.Variable>,
  gradients: Record<Name, oracle.Gradient>,
): Record<Name, oracle.Gradient> {
  const change = (act: (g: oracle.Gradient, name: Name) => Partial<oracle.Gradient>) =>
    NAMES.forEach((name) => gradients[name] = { ...gradients[name], ...act(gradients[name], name) });
  gradients = { ...gradients };
  if (clipvalue !== undefined) change(({ values }) => ({ values: oracle.clipByValue(values, clipvalue) }));
  if (clipnorm !== undefined) change(({ values }) => ({ values: oracle.clipByNorm(values, clipnorm) }));
  if (global_clipnorm !== undefined) {
    const scale = oracle.globalScale(NAMES.map((name) => gradients[name].values), global_clipnorm);
    change(({ values }) => ({ values: oracle.scaled(values, scale) }));
  }
  let whole = false;
  for (const [kind, { scale = 0, clip_value = 0, clip_norm = 0, weight_decay = 0 }] of transformers) {
    if (kind === "AddDecayedWeights" && !whole) {
      whole = true;
      change((g) => g.indices ? oracle.merged(g) : g);
    }
    change(({ values, indices }, name) => {
      const { w, shape } = variables[name];
      if (kind === "Scale") return { values: oracle.scaled(values, scale) };
      if (kind === "ClipByValue") return { values: oracle.clipByValue(values, clip_value) };
      if (kind === "ClipByNorm") return { values: oracle.clipByNorm(values, clip_norm) };
      if (kind === "Centralize") return indices ? {} : { values: oracle.centralized(values, shape) };
      const own = indices ? oracle.places(indices, shape).map((at) => w[at] as number) : w;
      return { values: oracle.decayed(values, own, weight_decay) };
    });
  }
  const scatters = optimizer.slots.length === 0;
  if (!whole && !scatters) change((g) => g.indices ? oracle.merged(g) : g);
  return gradients;
}

function constrain({ constraint }: Pipeline, variable: oracle.Variable): void {
  const width = variable.shape[1] ?? 1;
  if (constraint?.class_name === "NonNeg") variable.w = oracle.nonNeg(variable.w);
  if (constraint?.class_name === "MaxNorm") variable.w = oracle.maxNorm(variable.w, 0.9, width);
  if (constraint?.class_name === "UnitNorm") variable.w = oracle.unitNorm(variable.w);
}

const registry = newRegistry();

async function openRun({ optimizer, clips, transformers, constraint }: Pipeline): Promise<Session> {
  return await registry.create({
    optimizer: { class_name: optimizer.class_name, config: { ...optimizer.config, ...clips } },
    variables: NAMES.map((name) => ({
      name,
      shape: SHAPES[name],
      initial: tensor(SHAPES[name], numbers(count(name), { seed: count(name) })),
      constraint,
    })),
    gradient_transformers: transformers.map(([class_name, config]) => ({ class_name, config })),
  });
}

/** Three steps of a run and of the loops. Sparse gradients have repeated rows and leave one out. */
async function compare(pipeline: Pipeline, { sparse }: { sparse: boolean }): Promise<void> {
  const session = await openRun(pipeline);
  const { slots, rule } = pipeline.optimizer;
  const variables = byName((name): oracle.Variable => ({
    shape: SHAPES[name],
    w: numbers(count(name), { seed: count(name) }),
    slots: Object.fromEntries(slots.map((slot) => [slot, new Array<number>(count(name)).fill(0)])),
  }));
  for (let T = 1; T <= 3; T++) {
    const indices = [4, 0, 4, 2, 0].map((row) => (row + T) % 5);
    const gradients = byName((name, n): oracle.Gradient => {
      if (!sparse) return { values: numbers(count(name), { seed: 100 * T + n }) };
      return { values: numbers(indices.length * (SHAPES[name][1] ?? 1), { seed: 100 * T + n }), indices };
    });
    step(
      session,
      byName((name) => {
        const { values } = gradients[name];
        if (!sparse) return tensor(SHAPES[name], values);
        return { indices, values: tensor([indices.length, ...SHAPES[name].slice(1)], values) };
      }),
    );
    const ready = transform(pipeline, variables, gradients);
    for (const name of NAMES) {
      rule(variables[name], ready[name], T);
      constrain(pipeline, variables[name]);
    }
    const label = JSON.stringify({ ...pipeline, sparse, T });
    assert.deepEqual(variablesOf(session), byName((name) => variables[name].w), label);
    const wanted = slots.map((slot) => [slot, byName((name) => variables[name].slots[slot])]);
    assert.deepEqual(slotsOf(session), Object.fromEntries(wanted), label);
  }
  await registry.delete(session.id);
}

for (const sparse of [false, true]) {
  Deno.test(`a step clips, transforms and applies in order when gradients are ${sparse ? "sparse" : "dense"}`, async () => {
    for (const optimizer of OPTIMIZERS) {
      for (const clips of CLIPS) {
        for (const transformers of TRANSFORMERS) {
          await compare({ optimizer, clips, transformers }, { sparse });
        }
      }
    }
  });
}

Deno.test("a step constrains the variable when its update is done", async () => {
  for (const optimizer of OPTIMIZERS) {
    for (const constraint of CONSTRAINTS) {
      for (const clips of CLIPS.filter((_, n) => n % 3 === 0)) {
        for (const transformers of TRANSFORMERS.filter((_, n) => n % 4 === 0)) {
          await compare({ optimizer, clips, transformers, constraint }, { sparse: false });
        }
      }
    }
  }
});

Deno.test("a step clips by each norm and then by the global one when both were set later", async () => {
  const [optimizer] = OPTIMIZERS as [typeof OPTIMIZERS[number]];
  const session = await openRun({ optimizer, clips: { clipnorm: 1.5 }, transformers: [] });
  session.patchOptimizer({ global_clipnorm: 0.9, clipvalue: 0.6 });
  const before = variablesOf(session);
  const values = byName((name, n) => numbers(count(name), { seed: n }));
  const clipped = NAMES.map((name) => oracle.clipByNorm(oracle.clipByValue(values[name], 0.6), 1.5));
  const scale = oracle.globalScale(clipped, 0.9);
  const answer = step(session, { A: tensor([5, 3], values.A), B: tensor([7], values.B) });
  NAMES.forEach((name, n) => {
    const variable = { shape: SHAPES[name], w: before[name] as number[], slots: {} };
    optimizer.rule(variable, { values: oracle.scaled(clipped[n] as number[], scale) }, 1);
    assert.deepEqual(variablesOf(session)[name], variable.w);
  });
  assert(answer.clip_factor > 0 && answer.clip_factor < 1);
});

Deno.test("a constraint works on what the variable is after this step when its norm is taken", async () => {
  const session = await open({
    optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
    variables: [{ name: "w", shape: [2], initial: [30, 40], constraint: "UnitNorm" }],
  });
  step(session, { w: [27, 36] });
  assert.deepEqual(variablesOf(session)["w"]?.map((x) => Math.round(x * 1e6) / 1e6), [0.6, 0.8]);
});
