/** A journal that ends after any record: the run is recovered as it was at that record, and continues from there. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { StepwellError } from "../../../src/errors.ts";
import { releasable } from "../../../src/releasable.ts";
import type { AggregationSpec } from "../../../src/run/api/run_spec.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { journalHeader } from "../../../src/store/journal_writer.ts";
import type { Disk } from "../../store/support/disk.ts";
import { type Drawn, give, roundSpec, SHAPES, whole } from "./support/contributions.ts";
import { numbers, setVariables, tensor } from "../support/harness.ts";
import { Clock } from "../simulation/clock.ts";
import { lasting, newWorld, type World } from "../support/stored.ts";
import { sizeOf } from "../support/variants.ts";

type Act =
  | {
    readonly do: "contribute";
    readonly drawn: Drawn;
    readonly client: number;
    readonly behind: number;
    readonly aggregate: boolean;
  }
  | { readonly do: "withdraw"; readonly client: number }
  | { readonly do: "patch"; readonly rate: number }
  | { readonly do: "set"; readonly seed: number }
  | { readonly do: "wait"; readonly seconds: number };

const client = fc.nat({ max: 4 });
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("contribute"),
      drawn: whole,
      client,
      behind: fc.nat({ max: 2 }),
      aggregate: fc.oneof({ weight: 9, arbitrary: fc.constant(true) }, {
        weight: 1,
        arbitrary: fc.constant(false),
      }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("withdraw"), client }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("patch"), rate: fc.constantFrom(0.5, 0.1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("set"), seed: fc.nat({ max: 100 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("wait"), seconds: fc.constantFrom(1, 3, 20) }) },
);

const member = (class_name: string, config = {}) => ({ class_name, config });
const STALE = { max_staleness: 2, staleness_weighting: member("Polynomial") };
const AGGREGATIONS: readonly AggregationSpec[] = [
  {
    mode: "round",
    quorum: 3,
    minimum: 2,
    deadline_seconds: 10,
    aggregator: "WeightedMean",
    payload: "weights",
  },
  { mode: "round", quorum: 4, aggregator: "Mean", payload: "delta", client_clipnorm: 2, ...STALE },
  {
    mode: "round",
    quorum: 4,
    minimum: 3,
    deadline_seconds: 10,
    aggregator: member("Krum", { byzantine: 0 }),
    payload: "weights",
  },
  { mode: "round", quorum: 3, deadline_seconds: 10, aggregator: "Sum", noise: { stddev: 0.5, seed: 3 } },
  { mode: "buffer", buffer_size: 3, aggregator: "GeometricMedian", ...STALE },
  { mode: "buffer", buffer_size: 2, aggregator: member("NormBoundedMean", { norm_bound: 1 }), ...STALE },
  { mode: "immediate", payload: "weights", ...STALE },
  {
    mode: "round",
    quorum: 3,
    minimum: 2,
    deadline_seconds: 10,
    aggregator: "Mean",
    payload: "delta",
    client_clipnorm: member("AdaptiveQuantile", { learning_rate: 1, clipped_count_stddev: 0.5, seed: 4 }),
    noise: { multiplier: 0.1, seed: 3 },
  },
  {
    mode: "buffer",
    buffer_size: 3,
    aggregator: "Median",
    client_clipnorm: member("AdaptiveQuantile", { initial_l2_norm_clip: 5 }),
    ...STALE,
  },
];

/** The state of a run that a restart must restore, and its events and answers. */
const seen = (session: Session) => ({
  ...lasting(session),
  round: session.round(),
  events: session.events.since("").events,
});

interface Moment {
  readonly sequence: number;
  readonly now: number;
  readonly seen: ReturnType<typeof seen>;
}

class Life {
  readonly clock = new Clock();
  #process = 0;

  static async begin(aggregation: AggregationSpec): Promise<{ life: Life; world: World }> {
    const life: Life = new Life();
    const world = await newWorld({
      now: () => new Date(life.clock.now),
      schedule: (delayMs, call) => {
        const process = life.#process;
        const cancel = life.clock.at(life.clock.now + delayMs, () => process === life.#process && call());
        return releasable(cancel);
      },
    });
    await world.registry.create(roundSpec(aggregation));
    return { life, world };
  }

  async restart(world: World, disk: Disk, now: number): Promise<Session> {
    this.#process += 1;
    this.clock.now = now;
    await world.restart(disk);
    return world.registry.get("r");
  }

  /** Makes a possible change and returns the state after it. */
  do(session: Session, act: Act, key: string): Moment {
    try {
      this.#do(session, act, key);
    } catch (error) {
      if (!(error instanceof StepwellError)) throw error;
    }
    return { sequence: session.sequence, now: this.clock.now, seen: seen(session) };
  }

  #do(session: Session, act: Act, key: string): void {
    if (act.do === "wait") this.clock.advance(1000 * act.seconds);
    else if (act.do === "withdraw") session.withdraw(`${act.client}`);
    else if (act.do === "patch") session.patchOptimizer({ learning_rate: act.rate });
    else if (act.do === "set") {
      const a = SHAPES["a"] as readonly number[];
      setVariables(session, { a: tensor(a, numbers(sizeOf(a), { seed: act.seed })) });
    } else {
      const { drawn, client, behind, aggregate } = act;
      const baseIteration = Math.max(0, session.iterations - behind);
      const use = { key, hash: key, at: this.clock.now };
      give(session, drawn, { clientId: `${client}`, baseIteration, aggregate, key: use });
    }
  }
}

Deno.test("a run whose journal ends after any record has the state of then, and continues the same way", async () => {
  const law = async (aggregation: AggregationSpec, acts: readonly Act[], ends: readonly number[]) => {
    const { life, world } = await Life.begin(aggregation);
    await using _ = world;
    const session = world.registry.get("r");
    const begun: Moment = { sequence: session.sequence, now: 0, seen: seen(session) };
    const moments = [begun, ...acts.map((act, n) => life.do(session, act, `key-${n}`))];
    const { disk } = world, path = disk.paths.find((path) => path.endsWith(".log")) as string;
    const bytes = disk.bytesOf(path);
    const header = journalHeader(0, { run: "r", incarnation: path.split("/").at(-2) ?? "" }).length;
    for (const end of ends) {
      const left = disk.copy();
      left.put(
        path,
        bytes.slice(0, header + Math.round(end * (bytes.length - header))),
      );
      // The first missing record was the earliest that was not acknowledged.
      const later = await life.restart(world, left.copy(), 0);
      const last = moments.findLastIndex(({ sequence }) => sequence <= later.sequence);
      const { now } = moments[last] as Moment;
      const again = await life.restart(world, left, now);
      assert.deepEqual(seen(again), moments[last]?.seen);
      acts.slice(last).forEach((act, n) => {
        const { seen } = life.do(again, act, `key-${last + n}`);
        assert.deepEqual(seen, moments[last + n + 1]?.seen);
      });
    }
  };
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...AGGREGATIONS),
      fc.array(act, { minLength: 4, maxLength: 25 }),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 3, maxLength: 6 }),
      law,
    ),
    { numRuns: 40 },
  );
});
