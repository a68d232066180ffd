/** The calls of a session to its host, of which it gets only one. */
import assert from "node:assert/strict";
import { runCompiled } from "../../../kernels/compiler/runner.ts";
import { optimizers } from "../../../src/families/optimizers/mod.ts";
import { ruleOf } from "../../../src/families/optimizers/optimizer.ts";
import type { SessionHost } from "../../../src/run/session/host.ts";
import { Session } from "../../../src/run/session/session.ts";
import { resolveSpec } from "../../../src/run/spec/spec.ts";
import { Memory } from "../../../src/run/tensors/memory.ts";
import { RunState } from "../../../src/run/tensors/state.ts";
import { contribute, open, send, variablesOf } from "../support/harness.ts";

const GRADIENTS = { w: [1, 2] };

/** A session without a host. */
function newSession(): Session {
  const memory = new Memory({ bytesMax: 2 ** 26 });
  const spec = resolveSpec({
    optimizer: "SGD",
    variables: [{ name: "w", shape: [2] }],
    aggregation: { mode: "round", quorum: 2, deadline_seconds: 60 },
  }, optimizers);
  return new Session({
    id: "a",
    spec,
    state: new RunState(memory, spec, ruleOf(spec.optimizer)),
    memory,
    runner: runCompiled,
    createdAt: new Date(0).toISOString(),
    version: 0,
    now: () => 0,
  });
}

/** A host that lists its calls. */
function listening(): { host: SessionHost; told: unknown[] } {
  const told: unknown[] = [];
  const host: SessionHost = {
    log: { changing: () => told.push("changing"), append: (kind) => told.push(`record ${kind}`) },
    stepSecondsMax: Infinity,
    stepped: () => {},
    resized: () => {},
    describeStorage: () => ({ journal_bytes: 12, snapshot_version: 3 }),
    deadlineChanged: (at) => told.push({ deadline: at }),
    becameQuiet: () => told.push("quiet"),
  };
  return { host, told };
}

Deno.test("a session without a host works, and reports that nothing is stored", () => {
  const session = newSession();
  contribute(session, GRADIENTS, { clientId: "a" });
  const { journal_bytes, snapshot_version } = session.describe();
  assert.deepEqual({ journal_bytes, snapshot_version }, { journal_bytes: 0, snapshot_version: null });
  assert.equal(session.deadline, 60_000);
});

Deno.test("a host is called before every change, for deadlines and at the end of a round", () => {
  const session = newSession(), { host, told } = listening();
  session.attach(host);
  const { journal_bytes, snapshot_version } = session.describe();
  assert.deepEqual({ journal_bytes, snapshot_version }, { journal_bytes: 12, snapshot_version: 3 });
  contribute(session, GRADIENTS, { clientId: "a" });
  assert.deepEqual(told.splice(0), ["changing", "record 5", { deadline: 60_000 }]);
  send(session, GRADIENTS, { clientId: "b" });
  assert.deepEqual(told.splice(0), [
    "changing",
    "record 5",
    "changing",
    "record 6",
    { deadline: null },
    "quiet",
  ]);
  session.close();
  assert.deepEqual(told, [{ deadline: null }]);
});

Deno.test("a change that the host's log refuses is not made", () => {
  const session = newSession(), { host } = listening();
  const append = () => {
    throw new Error("The disk is full");
  };
  session.attach({ ...host, log: { changing: () => {}, append } });
  assert.throws(() => contribute(session, GRADIENTS, { clientId: "a" }), /The disk is full/);
  assert.equal(session.round().accepted, 0);
  assert.deepEqual(variablesOf(session), { w: [0, 0] });
});

Deno.test("a session gets one host: another is refused, and not called", async () => {
  const session = newSession(), first = listening(), second = listening();
  session.attach(first.host);
  assert.throws(() => session.attach(second.host), /has a host already/);
  contribute(session, GRADIENTS, { clientId: "a" });
  assert.equal(first.told.length, 3);
  assert.deepEqual(second.told, []);

  const opened = await open({ optimizer: "SGD", variables: [{ name: "w", shape: [2] }] });
  assert.throws(() => opened.attach(second.host), /has a host already/);
});
