/** Replays every recorded round of Flower's strategies with the contributions of its clients. */
import assert from "node:assert/strict";
import { runCompiled, runInterpreted, type Runner } from "../../../kernels/compiler/runner.ts";
import type { AggregationSpec, MemberSpec } from "../../../src/run/api/run_spec.ts";
import { open, send, slotsOf, tensor, variablesOf } from "../support/harness.ts";

interface Bound {
  readonly relative: number;
  readonly slots_relative?: number;
}

interface GoldenRounds {
  readonly name: string;
  readonly run: { readonly optimizer: MemberSpec; readonly aggregation: AggregationSpec };
  readonly variables: readonly {
    readonly name: string;
    readonly shape: number[];
    readonly initial: string;
  }[];
  readonly rounds: readonly {
    readonly contributions: readonly {
      readonly client_id: string;
      readonly weight: number;
      readonly weights: Readonly<Record<string, string>>;
    }[];
    readonly after: Readonly<Record<string, string>>;
  }[];
  readonly slots: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly bound: Bound;
}

const FOLDER = new URL("../../golden/rounds/", import.meta.url);

const floats = (base64: string) => new Float32Array(Uint8Array.fromBase64(base64).buffer);

/** The greatest difference, relative to the largest of `want`. */
function difference(got: readonly number[], want: Float32Array): number {
  assert.equal(got.length, want.length);
  const scale = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return want.reduce((most, value, n) => Math.max(most, Math.abs((got[n] as number) - value)), 0) / scale;
}

function compare(
  got: Readonly<Record<string, readonly number[]>>,
  want: Readonly<Record<string, string>>,
  { relative, where }: { relative: number; where: string },
): void {
  for (const [name, values] of Object.entries(want)) {
    const found = difference(got[name] as number[], floats(values));
    assert(found <= relative, `${where}: ${name}: ${found}, bound ${relative}`);
  }
}

async function replay(golden: GoldenRounds, runner: Runner): Promise<void> {
  const { name, run, variables, rounds, slots, bound } = golden;
  const session = await open({
    ...run,
    variables: variables.map(({ initial, ...variable }) => ({
      ...variable,
      initial: tensor(variable.shape, floats(initial)),
    })),
  }, { runner });
  for (const [index, { contributions, after }] of rounds.entries()) {
    const answers = contributions.map(({ client_id, weight, weights }) => {
      const tensors = variables.map((
        { name, shape },
      ) => [name, tensor(shape, floats(weights[name] as string))]);
      return send(session, Object.fromEntries(tensors), {
        clientId: client_id,
        weight,
        baseIteration: index,
      });
    });
    const where = `${name}, round ${index + 1}`;
    const applied = answers.map((answer) => answer.applied);
    assert.deepEqual(applied, applied.map((_, n) => n === applied.length - 1), where);
    assert.equal(answers.at(-1)?.contributions, contributions.length, where);
    assert.equal(session.iterations, index + 1, where);
    compare(variablesOf(session), after, { relative: bound.relative, where });
  }
  for (const [slot, values] of Object.entries(slots)) {
    const relative = bound.slots_relative ?? bound.relative;
    compare(slotsOf(session)[slot] as Record<string, number[]>, values, {
      relative,
      where: `${name}, ${slot}`,
    });
  }
}

const TOPICS = [...Deno.readDirSync(FOLDER)].map(({ name }) =>
  JSON.parse(Deno.readTextFileSync(new URL(name, FOLDER))) as { topic: string; cases: GoldenRounds[] }
);

for (const { topic, cases } of TOPICS) {
  Deno.test(`${topic} equal Flower's: ${cases.length} cases`, async () => {
    for (const golden of cases) await replay(golden, runCompiled);
  });
}

Deno.test("the interpreter gives the same rounds", async () => {
  for (const golden of TOPICS.flatMap(({ cases }) => cases.filter((_, n) => n % 5 === 0))) {
    await replay(golden, runInterpreted);
  }
});
