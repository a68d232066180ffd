/** Workers: when they start, when they end, and that a loss that harms one harms nobody else. */
import assert from "node:assert/strict";
import { admission } from "../../../src/autodiff/pool/admission.ts";
import { WorkerPool } from "../../../src/autodiff/pool/worker_pool.ts";
import { compileLoss } from "../../../src/autodiff/graph/compile_loss.ts";
import type { Job } from "../../../src/autodiff/graph/messages.ts";
import { KeyedMutex } from "../../../src/autodiff/pool/keyed_mutex.ts";
import { StepwellError } from "../../../src/errors.ts";

const LIMITS = { workers: 1, seconds: 60, idleSeconds: 60 };
const MILLIONS = 33_000_000;

function jobOf(text: string, x = 3): Job {
  const scope = { variables: new Map([["w", []]]), inputs: new Map([["x", []]]), elementsMax: MILLIONS };
  return {
    graph: compileLoss(text, scope),
    variables: [{ name: "w", shape: [], values: Float32Array.of(2) }],
    inputs: [{ name: "x", shape: [], values: Float32Array.of(x) }],
    watched: ["w"],
    iteration: 0,
  };
}

/** Products of large matrices: minutes of work. */
const slow = () => {
  const chain = Array.from({ length: 14 }, (_, i) => `m${i + 1} = m${i} @ m0`);
  return jobOf(["m0 = tile(reshape(w, [1, 1]), [1400, 1400])", ...chain, "sum(m14)"].join("; "));
};

const withCode = (code: string) => (error: unknown) => error instanceof StepwellError && error.code === code;

Deno.test("WorkerPool answers each job with its own result, with fewer workers than jobs", async () => {
  const pool = new WorkerPool({ ...LIMITS, workers: 2 });
  try {
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, x) => pool.evaluate(jobOf("x * w * w", x), "run")),
    );
    assert.deepEqual(results.map(({ loss }) => loss.values[0]), results.map((_, x) => 4 * x));
    assert.deepEqual(results.map(({ gradients }) => gradients[0]?.values[0]), results.map((_, x) => 4 * x));
  } finally {
    pool.close();
  }
});

Deno.test("WorkerPool stops a job that takes too long, and goes on with those that waited", async () => {
  const pool = new WorkerPool({ ...LIMITS, seconds: 1 });
  try {
    const stopped = assert.rejects(pool.evaluate(slow(), "run"), withCode("loss_too_slow"));
    const waited = pool.evaluate(jobOf("w"), "run");
    await stopped;
    assert.equal((await waited).loss.values[0], 2);
  } finally {
    pool.close();
  }
});

Deno.test("WorkerPool refuses what its job refuses, and starts a new worker after one that failed", async () => {
  const pool = new WorkerPool(LIMITS);
  try {
    const outside = jobOf("gather(reshape(w, [1]), x)");
    await assert.rejects(pool.evaluate(outside, "run"), withCode("index_out_of_range"));
    // What compileLoss() would never make.
    const broken: Job = { ...jobOf("w"), graph: { nodes: [], loss: 7, updates: [] } };
    await assert.rejects(pool.evaluate(broken, "run"), (error) => !(error instanceof StepwellError));
    assert.equal((await pool.evaluate(jobOf("w"), "run")).loss.values[0], 2);
  } finally {
    pool.close();
  }
});

Deno.test("WorkerPool refuses at its end, who waits and who comes later", async () => {
  const pool = new WorkerPool(LIMITS);
  const refused = [slow(), jobOf("w")].map((job) =>
    assert.rejects(pool.evaluate(job, "run"), withCode("shutting_down"))
  );
  pool.close();
  await Promise.all(refused);
  await assert.rejects(pool.evaluate(jobOf("w"), "run"), withCode("shutting_down"));
});

Deno.test("WorkerPool ends a worker that is idle, and starts another when it is needed", async () => {
  const pool = new WorkerPool({ ...LIMITS, idleSeconds: 0 });
  // The leak checks of Deno.test see a worker, or a timer, that is left.
  for (let i = 0; i < 2; i++) {
    assert.equal((await pool.evaluate(jobOf("w"), "run")).loss.values[0], 2);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

Deno.test("KeyedMutex is held by one after the other by name, in order", async () => {
  const mutex = new KeyedMutex();
  const said: string[] = [];
  const act = async (name: string, what: string) => {
    using _held = await mutex.acquire(name);
    said.push(`${what} in`);
    await new Promise((resolve) => setTimeout(resolve, 5));
    said.push(`${what} out`);
  };
  await Promise.all([act("a", "1"), act("a", "2"), act("b", "3"), act("a", "4")]);
  const ofA = said.filter((text) => !text.startsWith("3"));
  assert.deepEqual(ofA, ["1 in", "1 out", "2 in", "2 out", "4 in", "4 out"]);
  assert.ok(said.indexOf("3 in") < said.indexOf("2 in"));
});

Deno.test("admission() takes so many losses, and so many numbers unless there is one alone", () => {
  const gate = admission({ count: 2, elements: 10 });
  const alone = gate.acquireNow(100);
  assert.throws(() => gate.acquireNow(1), withCode("busy"));
  alone.release();
  const first = gate.acquireNow(4);
  const second = gate.acquireNow(6);
  assert.throws(() => gate.acquireNow(0), withCode("busy"));
  first.release();
  assert.throws(() => gate.acquireNow(5), {
    code: "busy",
    message:
      "Cannot evaluate this loss: 1 others with 6 numbers are waiting or being evaluated, must leave room " +
      "among 2 and 10 numbers",
  });
  second.release();
  gate.acquireNow(5);
});
