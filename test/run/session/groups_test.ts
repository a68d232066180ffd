/** Groups of a run: as separate runs, through PATCH, checkpoints and the journal. */
import assert from "node:assert/strict";
import { StepwellError } from "../../../src/errors.ts";
import { optimizers } from "../../../src/families/optimizers/mod.ts";
import { serialize } from "../../../src/families/mechanism/family.ts";
import { runInterpreted } from "../../../kernels/compiler/runner.ts";
import type { GroupSpec, RunSpec } from "../../../src/run/api/run_spec.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { checkpointOf, restore } from "../checkpoint/support/checkpoints.ts";
import { newRegistry, open, slotsOf, step, variablesOf } from "../support/harness.ts";
import { lasting, newWorld } from "../support/stored.ts";

const SHAPES = { "a/kernel": [3, 5], "a/bias": [5], "b/kernel": [5, 2], "b/bias": [2], "norm/scale": [4] };
type Name = keyof typeof SHAPES;
const NAMES = Object.keys(SHAPES) as Name[];
const BIASES = NAMES.filter((name) => name.endsWith("bias") || name.startsWith("norm"));
const REST = NAMES.filter((name) => !BIASES.includes(name));
const PATTERNS = ["*/bias", "norm/*"];

const variables = (names: readonly Name[]) =>
  names.map((name) => ({
    name,
    shape: SHAPES[name],
    initial: nested(SHAPES[name], (at) => Math.sin(at + name.length)),
  }));

function nested(shape: readonly number[], valueAt: (at: number) => number): unknown {
  const [rows, ...rest] = shape as [number, ...number[]];
  const inner = rest.reduce((product, each) => product * each, 1);
  return Array.from(
    { length: rows },
    (_, row) => rest.length === 0 ? valueAt(row) : nested(rest, (at) => valueAt(row * inner + at)),
  );
}

const gradients = (names: readonly Name[], n: number) =>
  Object.fromEntries(
    names.map((name) => [name, nested(SHAPES[name], (at) => Math.cos(at * 1.7 + n + 3 * name.length))]),
  );

/** Five steps of those variables; the fourth lacks one of them. */
function train(session: Session, names: readonly Name[]): void {
  for (let n = 0; n < 5; n++) step(session, gradients(n === 3 ? names.slice(1) : names, n));
}

/** Everything that groups must keep as separate runs have it. */
const stateOf = (session: Session) => ({ variables: variablesOf(session), slots: slotsOf(session) });

const merged = (a: ReturnType<typeof stateOf>, b: ReturnType<typeof stateOf>) => ({
  variables: { ...a.variables, ...b.variables },
  slots: Object.fromEntries(
    [...new Set([...Object.keys(a.slots), ...Object.keys(b.slots)])]
      .map((slot) => [slot, { ...a.slots[slot], ...b.slots[slot] }]),
  ),
});

const grouped = (optimizer: unknown, group: Partial<GroupSpec>): Omit<RunSpec, "id"> => ({
  optimizer,
  groups: [{ name: "small", variables: PATTERNS, ...group }],
  variables: variables(NAMES),
});

const optimizerOf = (spec: Partial<GroupSpec>, base: { class_name: string; config: object }) =>
  spec.optimizer ?? { ...base, config: { ...base.config, ...spec.hyperparameters } };

const BASE = { class_name: "AdamW", config: { learning_rate: 0.1, weight_decay: 0.1 } };
const GROUPS: Record<string, Partial<GroupSpec>> = {
  "a hyperparameter": { hyperparameters: { weight_decay: 0 } },
  "a schedule": {
    hyperparameters: {
      learning_rate: {
        class_name: "ExponentialDecay",
        config: { initial_learning_rate: 0.1, decay_steps: 2, decay_rate: 0.5 },
      },
    },
  },
  "a switch with a slot of its own": { hyperparameters: { amsgrad: true } },
  "another rule": { optimizer: { class_name: "Adagrad", config: { learning_rate: 0.05 } } },
  "a rule with numbers of the run": { optimizer: { class_name: "Nadam", config: { learning_rate: 0.05 } } },
  "another framework's rule": {
    optimizer: { module: "torch.optim", class_name: "AdamW", config: { lr: 0.05 } },
  },
};

for (const [what, group] of Object.entries(GROUPS)) {
  Deno.test(`groups give the bits of separate runs when one has ${what}`, async () => {
    const together = await open(grouped(BASE, group));
    const rest = await open({ optimizer: BASE, variables: variables(REST) });
    const small = await open({ optimizer: optimizerOf(group, BASE), variables: variables(BIASES) });
    train(together, NAMES);
    for (let n = 0; n < 5; n++) {
      const names = n === 3 ? NAMES.slice(1) : NAMES;
      step(rest, gradients(REST.filter((name) => names.includes(name)), n));
      step(small, gradients(BIASES.filter((name) => names.includes(name)), n));
    }
    assert.deepEqual(stateOf(together), merged(stateOf(rest), stateOf(small)));
  });
}

Deno.test("groups give the bits of separate runs for every pair of an optimizer and the next one", async () => {
  const forms = optimizers.members.map((member) => serialize({ member, config: {} }));
  for (const [n, base] of forms.entries()) {
    const other = forms[(n + 1) % forms.length];
    const together = await open(grouped(base, { optimizer: other }));
    const rest = await open({ optimizer: base, variables: variables(REST) });
    const small = await open({ optimizer: other, variables: variables(BIASES) });
    for (let at = 0; at < 3; at++) {
      step(together, gradients(NAMES, at));
      step(rest, gradients(REST, at));
      step(small, gradients(BIASES, at));
    }
    assert.deepEqual(
      stateOf(together),
      merged(stateOf(rest), stateOf(small)),
      `${base.module} ${base.class_name} with ${other?.module} ${other?.class_name}`,
    );
  }
});

Deno.test("a grouped run gives the same bits compiled and interpreted", async () => {
  for (const group of Object.values(GROUPS)) {
    const compiled = await open(grouped(BASE, group));
    const interpreted = await open(grouped(BASE, group), { runner: runInterpreted });
    train(compiled, NAMES);
    train(interpreted, NAMES);
    assert.deepEqual(stateOf(compiled), stateOf(interpreted));
  }
});

Deno.test("a group that changes nothing gives the bits and the weights of a run without groups", async () => {
  for (const clip of [{}, { global_clipnorm: 0.5 }, { clipnorm: 0.5 }, { clipvalue: 0.3 }]) {
    const base = { ...BASE, config: { ...BASE.config, ...clip } };
    const together = await open(grouped(base, { hyperparameters: { weight_decay: 0.1 } }));
    const plain = await open({ optimizer: base, variables: variables(NAMES) });
    train(together, NAMES);
    train(plain, NAMES);
    assert.deepEqual(stateOf(together), stateOf(plain));
    const listed = ({ tensors }: ReturnType<Session["weights"]>) => tensors.map(({ name }) => name);
    assert.deepEqual(listed(together.weights()), listed(plain.weights()));
  }
});

Deno.test("exclude_from_weight_decay makes the group that it is short for, with every optimizer that decays", async () => {
  const decaying = optimizers.members.filter(({ config }) => "weight_decay" in config.shape);
  assert.ok(decaying.length > 5);
  for (const member of decaying) {
    const { config: _, ...form } = serialize({ member, config: {} }), decay = { weight_decay: 0.1 };
    const short = await open({
      optimizer: { ...form, config: { ...decay, exclude_from_weight_decay: PATTERNS } },
      variables: variables(NAMES),
    });
    const long = await open(grouped({ ...form, config: decay }, { hyperparameters: { weight_decay: 0 } }));
    train(short, NAMES);
    train(long, NAMES);
    assert.deepEqual(stateOf(short), stateOf(long), member.class_name);
    assert.deepEqual(short.describe().groups?.map(({ name }) => name), ["no_weight_decay"]);
  }
});

Deno.test("the first group that fits takes a variable, and a group without one gives a warning", async () => {
  const session = await open({
    optimizer: "SGD",
    groups: [
      { name: "first", variables: ["a/*"], hyperparameters: { learning_rate: 1 } },
      { name: "second", variables: ["*/bias"], hyperparameters: { learning_rate: 2 } },
      { name: "third", variables: ["a/?ias"], hyperparameters: { learning_rate: 3 } },
    ],
    variables: NAMES.map((name) => ({ name, shape: [1] })),
  });
  const answer = step(session, Object.fromEntries(NAMES.map((name) => [name, [1]])));
  assert.deepEqual(variablesOf(session), {
    "a/kernel": [-1],
    "a/bias": [-1],
    "b/kernel": [Math.fround(-0.01)],
    "b/bias": [-2],
    "norm/scale": [Math.fround(-0.01)],
  });
  assert.deepEqual(answer.groups, {
    default: { learning_rate: Math.fround(0.01) },
    first: { learning_rate: 1 },
    second: { learning_rate: 2 },
    third: { learning_rate: 3 },
  });
  assert.deepEqual(session.describe().warnings, ['group "third" takes no variable: none fits "a/?ias"']);
});

Deno.test("groups follow the run's optimizer in what is not their own, and can be patched alone", async () => {
  const session = await open(grouped(BASE, { hyperparameters: { weight_decay: 0 } }));
  const rates = () =>
    [session.optimizer(), session.optimizer("default"), session.optimizer("small")]
      .map(({ config }) => [config["learning_rate"], config["weight_decay"]]);
  session.patchOptimizer({ learning_rate: 0.5, weight_decay: 0.25 });
  assert.deepEqual(rates(), [[0.5, 0.25], [0.5, 0.25], [0.5, 0]]);
  session.patchOptimizer({ learning_rate: 2 }, { group: "small" });
  session.patchOptimizer({ learning_rate: 1 });
  assert.deepEqual(rates(), [[1, 0.25], [1, 0.25], [2, 0]]);
  const answer = step(session, gradients(NAMES, 0), { dryRun: true, hyperparameters: { learning_rate: 3 } });
  assert.deepEqual(answer.groups, { default: { learning_rate: 3 }, small: { learning_rate: 2 } });
  const [described] = session.describe().groups ?? [];
  assert.deepEqual(described?.hyperparameters, { weight_decay: 0, learning_rate: 2 });
});

Deno.test("a run that is made of a description has the same groups and gives the same bits", async () => {
  for (const group of Object.values(GROUPS)) {
    const session = await open(grouped(BASE, { ...group, sparse: "lazy" }));
    session.patchOptimizer(group.optimizer ? {} : { epsilon: 1e-5 }, { group: "small" });
    const { optimizer, groups } = session.describe();
    const again = await open({ optimizer, groups, variables: variables(NAMES) });
    assert.deepEqual(again.describe().groups, groups);
    train(session, NAMES);
    train(again, NAMES);
    assert.deepEqual(stateOf(again), stateOf(session));
  }
});

const ROWS = { indices: [3, 0, 3], values: [[1, 2], [0.5, -1], [0.25, 4]] };
const DENSE = [[0.5, -1], [0, 0], [0, 0], [1.25, 6], [0, 0]];

Deno.test("sparse exact gives the bits of the dense gradient for every optimizer, in a run and in a group", async () => {
  for (const member of optimizers.members) {
    const optimizer = serialize({ member, config: {} });
    const variables = [{ name: "w", shape: [5, 2], initial: 0.5 }];
    const own = { name: "own", variables: ["w"], optimizer, sparse: "exact" as const };
    const sessions = [
      await open({ optimizer, variables }),
      await open({ optimizer, sparse: "exact", variables }),
      await open({ optimizer: "SGD", groups: [own], variables }),
    ] as [Session, Session, Session];
    for (let n = 0; n < 3; n++) {
      sessions.forEach((session, at) => step(session, { w: at === 0 ? DENSE : ROWS }));
    }
    const [dense, ...exact] = sessions.map(stateOf);
    for (const each of exact) assert.deepEqual(each, dense, `${member.module} ${member.class_name}`);
  }
});

Deno.test("sparse lazy gives the rows that came the bits of a dense step, and leaves the others", async () => {
  for (const member of optimizers.members) {
    const optimizer = serialize({ member, config: {} });
    const lazy = await open({
      optimizer,
      sparse: "lazy",
      variables: [{ name: "w", shape: [5, 2], initial: 0.5 }],
    });
    const rows = await open({ optimizer, variables: [{ name: "w", shape: [2, 2], initial: 0.5 }] });
    const reduces = /\b(sum|mean|norm)\(/.test(JSON.stringify(member.rule(...both(member))));
    if (reduces) continue;
    for (let n = 0; n < 3; n++) {
      step(lazy, { w: ROWS });
      step(rows, { w: [DENSE[3], DENSE[0]] });
    }
    const { w = [] } = variablesOf(lazy), { w: moved = [] } = variablesOf(rows);
    assert.deepEqual([w.slice(6, 8), w.slice(0, 2)], [moved.slice(0, 2), moved.slice(2)], member.class_name);
    assert.deepEqual(w.slice(2, 6), [0.5, 0.5, 0.5, 0.5], member.class_name);
  }
});

function both(member: typeof optimizers.members[number]) {
  const { config } = member.construct(member.config.parse({}), {}, "");
  return [config, config] as const;
}

const REFUSED: { what: string; code: string; path: string; groups: GroupSpec[] }[] = [
  {
    what: "two groups of one name",
    code: "invalid_request",
    path: "groups.1.name",
    groups: [
      { name: "a", variables: ["*"] },
      { name: "a", variables: ["*"] },
    ],
  },
  {
    what: "a group called default",
    code: "invalid_request",
    path: "groups.0.name",
    groups: [
      { name: "default", variables: ["*"] },
    ],
  },
  {
    what: "an unknown hyperparameter",
    code: "invalid_config",
    path: "groups.0.hyperparameters.speed",
    groups: [
      { name: "a", variables: ["*"], hyperparameters: { speed: 1 } },
    ],
  },
  {
    what: "a clip of a group",
    code: "invalid_config",
    path: "groups.0.hyperparameters.clipnorm",
    groups: [
      { name: "a", variables: ["*"], hyperparameters: { clipnorm: 1 } },
    ],
  },
  {
    what: "a clip of a group's optimizer",
    code: "invalid_config",
    path: "groups.0.optimizer.config.clipvalue",
    groups: [
      { name: "a", variables: ["*"], optimizer: { class_name: "SGD", config: { clipvalue: 1 } } },
    ],
  },
  {
    what: "an unknown optimizer",
    code: "unknown_class",
    path: "groups.0.optimizer.class_name",
    groups: [
      { name: "a", variables: ["*"], optimizer: "Sgdd" },
    ],
  },
  {
    what: "both",
    code: "invalid_request",
    path: "groups.0.hyperparameters",
    groups: [
      { name: "a", variables: ["*"], optimizer: "SGD", hyperparameters: {} },
    ],
  },
];

for (const { what, code, path, groups } of REFUSED) {
  Deno.test(`${what} is refused`, async () => {
    await assert.rejects(
      open({ optimizer: BASE, groups, variables: variables(NAMES) }),
      (error: StepwellError) => {
        assert.deepEqual([error.code, error.issues[0]?.path], [code, path]);
        return true;
      },
    );
  });
}

Deno.test("an unknown group, or a clip of one, cannot be patched, and nothing changes", async () => {
  const session = await open(grouped(BASE, {}));
  assert.throws(
    () => session.patchOptimizer({ learning_rate: 1 }, { group: "none" }),
    { code: "unknown_group", message: 'Cannot find the group "none": the run has "default", "small"' },
  );
  assert.throws(() => session.optimizer("none"), { code: "unknown_group" });
  assert.throws(() => session.patchOptimizer({ clipnorm: 1 }, { group: "small" }), {
    code: "invalid_config",
  });
  assert.equal(session.version, 0);
});

/** Steps, then changes hyperparameters of the run and of a group, then steps. */
function trainAndPatch(session: Session): void {
  train(session, NAMES);
  session.patchOptimizer({ epsilon: 1e-3 });
  session.patchOptimizer({ epsilon: 1e-4 }, { group: "small" });
  train(session, NAMES);
}

Deno.test("a restored run has its groups and steps on with the same bits", async () => {
  for (const [what, group] of Object.entries(GROUPS)) {
    if (what === "another framework's rule") continue;
    const registry = newRegistry();
    const one = await registry.create({ ...grouped(BASE, group), sparse: "lazy" });
    trainAndPatch(one);
    const other = await restore(registry, "other", checkpointOf(one));
    assert.deepEqual(other.describe().groups, one.describe().groups, what);
    trainAndPatch(one);
    trainAndPatch(other);
    assert.deepEqual(stateOf(other), stateOf(one), what);
    assert.deepEqual(other.describe().groups, one.describe().groups, what);
    const own = { version: 0, sequence: 0, round: 0, created_at: 0 };
    assert.deepEqual({ ...checkpointOf(other).saved, ...own }, { ...checkpointOf(one).saved, ...own }, what);
  }
});

Deno.test("a checkpoint takes the place of a run with other groups, and of one without", async () => {
  const registry = newRegistry();
  const plain = await registry.create({ id: "plain", optimizer: BASE, variables: variables(NAMES) });
  const split = await registry.create({ id: "split", ...grouped(BASE, GROUPS["another rule"] as GroupSpec) });
  train(plain, NAMES);
  train(split, NAMES);
  const [flat, parted] = [checkpointOf(plain), checkpointOf(split)];
  const [wasPlain, wasSplit] = [stateOf(plain), stateOf(split)];
  assert.deepEqual(stateOf(await restore(registry, "plain", parted)), wasSplit);
  assert.deepEqual(stateOf(await restore(registry, "split", flat)), wasPlain);
  assert.deepEqual(registry.get("plain").describe().groups?.map(({ name }) => name), ["small"]);
  assert.equal(registry.get("split").describe().groups, undefined);
});

Deno.test("a checkpoint whose groups were tampered with is refused", async () => {
  const registry = newRegistry();
  const session = await registry.create(grouped(BASE, GROUPS["another rule"] as GroupSpec));
  // deno-lint-ignore no-explicit-any -- the JSON of a checkpoint
  const changes: Record<string, (saved: any) => void> = {
    "no groups": (saved) => delete saved.groups,
    "another name": (saved) => saved.groups[0].name = "other",
    "another member": (saved) => saved.groups[0].optimizer = saved.optimizer,
    "a slot of another rule": (saved) => saved.groups[0].slots.push("m"),
    "no groups in its spec": (saved) => delete saved.spec.groups,
    "a created slot that its group lacks": (saved) => {
      saved.hypers_created = true;
      saved.created.push({ variable: "a/bias", slot: "m" });
    },
  };
  for (const [what, change] of Object.entries(changes)) {
    const checkpoint = checkpointOf(session);
    change(checkpoint.saved);
    await assert.rejects(restore(registry, "other", checkpoint), { code: "invalid_request" }, what);
  }
});

Deno.test("a process that died has its groups again: from the snapshot, and from the journal", async () => {
  for (const [what, group] of Object.entries(GROUPS)) {
    if (what === "another framework's rule") continue;
    await using world = await newWorld();
    const session = await world.registry.create({ id: "run", ...grouped(BASE, group) });
    trainAndPatch(session);
    const before = lasting(session);
    await world.restart();
    assert.deepEqual(lasting(world.registry.get("run")), before, what);
    trainAndPatch(world.registry.get("run"));
    const after = lasting(world.registry.get("run"));
    await world.restart();
    assert.deepEqual(lasting(world.registry.get("run")), after, what);
  }
});

Deno.test("a round of a grouped run becomes the step that the sum of its gradients gives", async () => {
  const spec = grouped({ ...BASE, config: { ...BASE.config, global_clipnorm: 1 } }, {
    hyperparameters: { weight_decay: 0 },
  });
  const round = await open({ ...spec, aggregation: { mode: "round", quorum: 2 } });
  const plain = await open(spec);
  for (let n = 0; n < 3; n++) {
    step(round, gradients(NAMES, n), { clientId: "a", baseIteration: n });
    const answer = step(round, gradients(NAMES, n), { clientId: "b", baseIteration: n });
    assert.deepEqual(Object.keys(answer.groups ?? {}), ["default", "small"]);
    step(plain, doubled(gradients(NAMES, n)));
  }
  assert.deepEqual(stateOf(round), stateOf(plain));
});

const doubled = (value: unknown): unknown =>
  typeof value === "number"
    ? 2 * Math.fround(value)
    : Array.isArray(value)
    ? value.map(doubled)
    : Object.fromEntries(Object.entries(value as object).map(([key, each]) => [key, doubled(each)]));
