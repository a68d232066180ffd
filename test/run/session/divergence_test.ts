/** Steps that leave numbers that are not finite: what their answers, events and figures tell. */
import assert from "node:assert/strict";
import type { RunSpec } from "../../../src/run/api/run_spec.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { Metrics } from "../../../routes/http/metrics.ts";
import {
  contribute,
  newRegistry,
  open,
  send,
  setVariables,
  slotsOf,
  step,
  tensor,
  variablesOf,
} from "../support/harness.ts";
import { newWorld, request } from "../support/stored.ts";
import { gradientsOf, specOf, VARIANTS } from "../support/variants.ts";

/** "slot of variable" (or the variable's name) → count of numbers that are not finite, where there are some. */
function countsOf(session: Session): Map<string, number> {
  const tensors = [
    ...Object.entries(variablesOf(session)),
    ...Object.entries(slotsOf(session)).flatMap(([slot, variables]) =>
      Object.entries(variables).map(([name, values]) => [`${slot} of ${name}`, values] as const)
    ),
  ];
  return new Map(
    tensors.map(([name, values]) => [name, values.filter((each) => !Number.isFinite(each)).length] as const)
      .filter(([, count]) => count > 0),
  );
}

/** What the events of the latest change say, in the form of `countsOf`, with the count before. */
function toldOf(session: Session): Map<string, readonly [number, number]> {
  const { events } = session.events.since("");
  const place = events.at(-1)?.id.split(".")[0];
  const event = events.find(({ id, type }) => type === "step_diverged" && id.split(".")[0] === place);
  const tensors = (event?.data["tensors"] ?? []) as {
    variable: string;
    slot: string | null;
    count: number;
    before: number;
  }[];
  return new Map(tensors.map(({ variable, slot, count, before }) => [
    slot === null ? variable : `${slot} of ${variable}`,
    [count, before],
  ]));
}

/** Steps, and compares what is told with what the tensors hold. Returns how many tensors got worse. */
function stepAndCompare(session: Session, gradients: unknown, label: string): number {
  const before = countsOf(session);
  const { warnings } = step(session, gradients);
  const after = [...countsOf(session)];
  const wanted = new Map(
    after.map(([name, count]) => [name, [count, before.get(name) ?? 0] as const] as const)
      .filter(([, [count, old]]) => count > old),
  );
  assert.deepEqual(toldOf(session), wanted, label);
  const told = warnings.filter((text) => text.includes("not finite"));
  assert.equal(told.length, wanted.size, `${label}: ${warnings}`);
  return wanted.size;
}

Deno.test("every optimizer tells of each number that a step leaves NaN or infinite, and of no other", async () => {
  let worse = 0;
  for (const variant of VARIANTS) {
    const session = await open(specOf(variant, { non_finite: "propagate" }));
    for (const [seed, sparse] of [false, true, true, false, true].entries()) {
      const label = `${variant.label}, step ${seed}`;
      // The first two are ordinary: nothing is told of them unless the rule itself leaves something.
      worse += stepAndCompare(session, gradientsOf(seed, { sparse, special: seed >= 2 }), label);
      if (seed === 3) {
        setVariables(session, { vector: tensor([19], [NaN, ...new Array<number>(18).fill(1)]) });
      }
    }
  }
  assert.ok(worse > 3 * VARIANTS.length, `${worse} tensors got worse`);
});

Deno.test("no optimizer tells of anything while all numbers are finite", async () => {
  for (const variant of VARIANTS) {
    const session = await open(specOf(variant));
    for (const [seed, sparse] of [false, true, true, false].entries()) {
      assert.equal(stepAndCompare(session, gradientsOf(seed, { sparse }), variant.label), 0);
    }
  }
});

const SGD = { class_name: "SGD", config: { learning_rate: 1, momentum: 0.5 } };
const HUGE = 3e38;

Deno.test("a rule that overflows from finite gradients says which variables and slots, and how many numbers", async () => {
  const session = await open({
    optimizer: SGD,
    variables: [{ name: "w", shape: [6], initial: -1 }, { name: "b", shape: [], initial: 0 }],
  });
  const half = tensor([6], [HUGE, HUGE, 0, 0, 0, 0]);
  assert.deepEqual(step(session, { w: half, b: 1 }).warnings, []);
  const { warnings, iterations, version } = step(session, { w: half });
  assert.deepEqual(warnings, [
    'The variable "w" is not finite in 2 places after the step, in 0 before',
    'The slot "momentum" of "w" is not finite in 2 places after the step, in 0 before',
  ]);
  const { events } = session.events.since("");
  assert.deepEqual(events.slice(-2).map(({ type }) => type), ["step_applied", "step_diverged"]);
  assert.deepEqual(events.at(-1)?.data, {
    tensors: [
      { variable: "w", slot: null, count: 2, before: 0 },
      { variable: "w", slot: "momentum", count: 2, before: 0 },
    ],
    more: 0,
    iterations,
    version,
  });
  assert.deepEqual(session.steps(1)[0]?.warnings, warnings, "the list of steps has them");
  assert.deepEqual(step(session, { w: tensor([6], Array(6).fill(0)), b: 1 }).warnings, [], "they were there");
});

Deno.test("only more is told: numbers that were there, and those that a client set, are no news", async () => {
  const session = await open({ optimizer: "SGD", variables: [{ name: "w", shape: [4], initial: 1 }] });
  setVariables(session, { w: [1, "NaN", "Infinity", 1] });
  assert.deepEqual(step(session, { w: [1, 1, 1, 1] }).warnings, []);
  setVariables(session, { w: [1, 1, 1, 1] });
  assert.deepEqual(step(session, { w: [1, 1, 1, 1] }).warnings, []);
  session.patchOptimizer({ learning_rate: 3e38 });
  assert.match(step(session, { w: [0, 4, 0, 0] }).warnings.join(), /in 1 place after the step, in 0 before$/);
  setVariables(session, { w: [1, 1, 1, 1] });
  assert.match(
    step(session, { w: [4, 4, 0, 0] }).warnings.join(),
    /in 2 places after the step, in 0 before$/,
  );
});

Deno.test("rows of a sparse step, weights that are set, and slots that come later are counted too", async () => {
  const session = await open({
    optimizer: { class_name: "Adam", config: { learning_rate: 1 } },
    variables: [{ name: "table", shape: [5, 3], initial: 1 }],
  });
  const rows = (value: number) => ({ table: { indices: [4, 1], values: [[value, 1, 1], [1, 1, value]] } });
  assert.deepEqual(step(session, rows(1)).warnings, []);
  assert.deepEqual(step(session, rows(1e30)).warnings, [
    'The slot "v" of "table" is not finite in 2 places after the step, in 0 before',
  ]);
  const { iterations, tensors } = session.weights();
  session.setWeights([
    iterations,
    ...tensors.map(({ shape, values }) => ({ shape, values: values.fill(1) })),
  ]);
  assert.match(
    step(session, rows(1e30)).warnings.join(),
    /"v" of "table" is not finite in 2 places .* 0 before$/,
  );
});

Deno.test("a run of hundreds of variables names twenty and counts the rest", async () => {
  const variables = Array.from({ length: 300 }, (_, n) => ({ name: `w${n}`, shape: [], initial: -HUGE }));
  const session = await open({ optimizer: { class_name: "SGD", config: { learning_rate: 1 } }, variables });
  const { warnings } = step(session, Object.fromEntries(variables.map(({ name }) => [name, HUGE])));
  assert.equal(warnings.length, 21);
  assert.equal(warnings.at(-1), "280 more variables and slots hold more such numbers than before");
  const last = session.events.since("").events.at(-1);
  assert.equal((last?.data["tensors"] as unknown[]).length, 20);
  assert.equal(last?.data["more"], 280);
});

/** Ways in which a step happens beside a plain one; each pair of 3e38 overflows what is at −3e38. */
const WAYS: readonly [string, Omit<RunSpec, "id" | "optimizer" | "variables">][] = [
  ["round", { aggregation: { mode: "round", quorum: 1 } }],
  ["buffer", { aggregation: { mode: "buffer", buffer_size: 1 } }],
  ["immediate, bounded staleness", { aggregation: { mode: "immediate", max_staleness: 3 } }],
  ["list", { aggregation: { mode: "round", quorum: 1, aggregator: "Median" } }],
  ["transformer", { gradient_transformers: [{ class_name: "Scale", config: { scale: 1 } }] }],
  ["formula", { gradient_transformers: [{ class_name: "Formula", config: { lines: ["g = g * 1"] } }] }],
  ["noise", {
    gradient_transformers: [{ class_name: "AddGaussianNoise", config: { stddev: 0.1, seed: 1 } }],
  }],
  ["mean", { gradient_transformers: ["Centralize"] }],
];

for (const [label, spec] of WAYS) {
  Deno.test(`a step by ${label} tells it`, async () => {
    const session = await open({
      optimizer: { class_name: "SGD", config: { learning_rate: 2 } },
      variables: [{ name: "w", shape: [2, 2], initial: 1 }],
      ...spec,
    });
    const answer = send(session, { w: [[HUGE, -HUGE], [-HUGE, HUGE]] });
    assert.ok(answer.applied, JSON.stringify(answer));
    const [told, ...others] = answer.warnings.filter((text) => text.includes("not finite"));
    assert.match(told ?? "", /^The variable "w" is not finite in 4 places after the step, in 0 before$/);
    assert.deepEqual(others, []);
  });
}

Deno.test("averages of clients that are not finite are told under the policy propagate", async () => {
  const session = await open({
    optimizer: "SGD",
    variables: [{ name: "w", shape: [2] }, { name: "mean", shape: [3], role: "average" }],
    aggregation: { mode: "round", quorum: 2, aggregator: "Mean" },
    non_finite: "propagate",
  });
  contribute(session, { w: [1, 1], mean: [1, 2, 3] });
  const { warnings } = step(session, { w: [1, 1], mean: [1, "Infinity", "NaN"] });
  assert.deepEqual(warnings, ['The variable "mean" is not finite in 2 places after the step, in 0 before']);
});

Deno.test("a constraint that divides by zero is told, and so is an update by a registered formula", async () => {
  const session = await open({
    optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
    variables: [{
      name: "w",
      shape: [3],
      initial: 1,
      constraint: { class_name: "Formula", config: { lines: ["w = w / (w - w)"] } },
    }],
  });
  assert.match(step(session, { w: [0, 0, 0] }).warnings.join(), /"w" is not finite in 3 places/);
});

Deno.test("a dry run tells nothing of numbers that it does not make", async () => {
  const session = await open({
    optimizer: { class_name: "SGD", config: { learning_rate: 2 } },
    variables: [{ name: "w", shape: [1], initial: 1 }],
  });
  assert.deepEqual(step(session, { w: [HUGE] }, { dryRun: true }).warnings, []);
  assert.equal(step(session, { w: [HUGE] }).warnings.length, 1);
});

Deno.test("/metrics counts such steps, also of runs that have left memory", async () => {
  const registry = newRegistry();
  const session = await registry.create({
    optimizer: { class_name: "SGD", config: { learning_rate: 2 } },
    variables: [{ name: "w", shape: [2], initial: 1 }],
  });
  const shown = () => {
    const none = { open: 0, waiting: 0 };
    const text = new Metrics().render({ registry, uploads: none, streams: none, waits: none, now: () => 0 });
    return /^stepwell_diverged_steps_total (\d+)$/m.exec(text)?.[1];
  };
  step(session, { w: [1, 1] });
  assert.equal(shown(), "0");
  step(session, { w: [HUGE, 1] });
  step(session, { w: [1, 1] });
  step(session, { w: [1, HUGE] });
  assert.equal(shown(), "2");
  await registry.delete(session.id);
  assert.equal(shown(), "2");
});

Deno.test("after a crash, and from a snapshot, a run tells the same: answers, steps and events", async () => {
  for (const snapshots of [false, true]) {
    await using world = await newWorld();
    await world.registry.create({
      id: "small",
      optimizer: SGD,
      variables: [{ name: "w", shape: [3], initial: -1 }],
    });
    const key = { key: "one", hash: "h", at: 1 };
    const act = (values: number[], options = {}) =>
      request(world.registry, "small", (session) => step(session, { w: values }, options));
    await act([HUGE, 0, 0]);
    const first = await act([HUGE, 0, 0], { key });
    assert.equal(first.warnings.length, 2);
    if (snapshots) await world.registry.shutdown();
    const { steps, last } = (() => {
      const session = world.registry.get("small");
      return { steps: session.steps(10), last: session.events.last };
    })();
    await world.restart();
    const session = world.registry.get("small");
    assert.deepEqual(session.steps(10), steps);
    assert.equal(session.events.last, last);
    assert.deepEqual(session.replies.find({ key: "one", hash: "h" }), first);
    const next = await act([0, HUGE, 0]);
    assert.deepEqual(next.warnings, [], "what is there is known after a restart");
    const { warnings } = await act([0, HUGE, 0]);
    assert.match(warnings.join(), /"w" is not finite in 2 places after the step, in 1 before/);
  }
});
