/** The figures of all runs are counted as things happen. They equal what a walk over all runs would find. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { StepwellError } from "../../../src/errors.ts";
import type { Staging } from "../../../src/run/api/run_session.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { type Checkpoint, checkpointOf, restore } from "../checkpoint/support/checkpoints.ts";
import { contribute, step } from "../support/harness.ts";
import { newWorld, request } from "../support/stored.ts";
import { IO_ERROR } from "../../store/support/disk.ts";

const IDS = ["a", "b", "c"] as const;
const KINDS = [
  "create",
  "create on a broken disk",
  "step",
  "step to an infinite slot",
  "step on a broken disk",
  "contribute",
  "patch",
  "get more slots",
  "replace",
  "delete",
  "delete on a broken disk",
  "begin a body",
  "end a body",
  "publish",
  "evict",
  "restart",
] as const;

const ACTIONS = fc.array(fc.record({ kind: fc.constantFrom(...KINDS), id: fc.constantFrom(...IDS) }), {
  minLength: 10,
  maxLength: 40,
});

const SPEC = {
  optimizer: { class_name: "Adam", config: { learning_rate: 0.1 } },
  variables: [{ name: "w", shape: [5] }, { name: "b", shape: [] }],
  non_finite: "propagate" as const,
};
/** One of them holds contributions until a round is complete. */
const AGGREGATIONS = { a: undefined, b: undefined, c: { mode: "round" as const, quorum: 3 } };

Deno.test("the figures of a registry equal a walk over its runs, whatever has happened", async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(ACTIONS, async (actions) => {
      await using world = await newWorld();
      /** All sessions that there ever were in this process. */
      let sessions = new Set<Session>(), bodies: Staging[] = [], steps = 0, diverged = 0;
      const isOpen = (session: Session) => {
        try {
          world.registry.confirm(session);
          return true;
        } catch (error) {
          assert.ok(error instanceof StepwellError);
          return false;
        }
      };
      const used = (id: string, act: (session: Session) => unknown) =>
        request(world.registry, id, (session) => {
          sessions.add(session);
          const before = session.events.count;
          const answer = act(session);
          const { events } = session.events.since(session.events.last.replace(/\.\d+$/, ".0"));
          if (session.events.count > before) {
            diverged += events.filter(({ type }) => type === "step_diverged").length;
          }
          if (
            answer !== null && typeof answer === "object" && "applied" in answer && answer.applied === true
          ) {
            steps += 1;
          }
        });
      const onBrokenDisk = async (act: () => Promise<unknown>) => {
        world.disk.fault = () => {
          throw new Error(IO_ERROR);
        };
        try {
          await act();
        } finally {
          world.disk.fault = () => {};
        }
      };
      const create = async (id: typeof IDS[number]) => {
        const aggregation = AGGREGATIONS[id];
        sessions.add(await world.registry.create({ id, ...SPEC, ...aggregation && { aggregation } }));
      };
      const stepOf = (id: string, value = 1) =>
        used(id, (session) => step(session, { w: Array(5).fill(value), b: value }));
      const act: Record<typeof KINDS[number], (id: typeof IDS[number]) => unknown> = {
        create,
        "create on a broken disk": (id) => onBrokenDisk(() => create(id)),
        step: (id) => stepOf(id),
        "step to an infinite slot": (id) => stepOf(id, 3e38),
        "step on a broken disk": (id) => onBrokenDisk(() => stepOf(id)),
        contribute: (id) =>
          used(id, (session) => contribute(session, { w: Array(5).fill(1), b: 1 }, { clientId: `${steps}` })),
        patch: (id) => used(id, (session) => session.patchOptimizer({ learning_rate: 0.5 })),
        "get more slots": (id) => used(id, (session) => session.patchOptimizer({ amsgrad: true })),
        replace: async (id) => {
          let file: Checkpoint | undefined;
          await used(id, (session) => void (file = checkpointOf(session)));
          await restore(world.registry, id, file as Checkpoint);
          sessions.add(world.registry.get(id));
        },
        delete: (id) => world.registry.delete(id),
        "delete on a broken disk": (id) => onBrokenDisk(() => world.registry.delete(id)),
        "begin a body": (id) =>
          used(id, (session) => {
            const body = session.stage("gradients");
            body.dense("w", { dtype: "F32", shape: [5] });
            bodies.push(body);
          }),
        "end a body": () => bodies.shift()?.release(),
        publish: (id) => used(id, (session) => session.publish().release()),
        evict: () => world.registry.sweep({ idleMs: 0 }),
        restart: async () => {
          await world.restart();
          sessions = new Set();
          bodies = [];
          steps = 0;
          diverged = 0;
        },
      };
      const begin = IDS.map((id) => ({ kind: "create" as const, id }));
      for (const { kind, id } of [...begin, ...actions]) {
        let end = "done";
        try {
          await act[kind](id);
        } catch (error) {
          if (!(error instanceof StepwellError)) throw error;
          end = error.code;
        }
        seen.add(`${kind}: ${end}`);
        const open = [...sessions].filter(isOpen);
        const { runs: _, arenas: __, arenaBytes: ___, publishedBytes: ____, ...figures } = world.registry
          .figures();
        assert.deepEqual(figures, {
          runsInMemory: open.length,
          steps,
          divergedSteps: diverged,
          runBytes: open.reduce((sum, { bytes }) => sum + bytes.state, 0),
          stagingBytes: open.reduce((sum, { bytes }) => sum + bytes.staging, 0),
        }, `after "${kind}" of ${id}: ${end}`);
      }
      for (const body of bodies) body.release();
    }),
    { numRuns: 40 },
  );
  for (const kind of KINDS) {
    const end = kind.endsWith("on a broken disk") ? "storage_failed" : "done";
    assert.ok(seen.has(`${kind}: ${end}`), `nothing did "${kind}"`);
  }
});
