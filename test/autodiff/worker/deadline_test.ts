/** A loss ends at its time limit; a thread that does not end keeps its place in the pool. */
import assert from "node:assert/strict";
import { tooSlow, within } from "../../../src/autodiff/worker/deadline.ts";
import { evaluate } from "../../../src/autodiff/worker/evaluate.ts";
import { WorkerPool } from "../../../src/autodiff/pool/worker_pool.ts";
import { compileLoss } from "../../../src/autodiff/graph/compile_loss.ts";
import { replyToError } from "../../../src/autodiff/worker/failures.ts";
import type { Job } from "../../../src/autodiff/graph/messages.ts";
import { loadTfjs } from "../../../src/autodiff/worker/tfjs.ts";
import { StepwellError } from "../../../src/errors.ts";

const tf = await loadTfjs();

function jobOf(text: string): Job {
  const variables = new Map([["w", [] as number[]]]);
  return {
    graph: compileLoss(text, { variables, inputs: new Map(), elementsMax: 1e6 }),
    variables: [{ name: "w", shape: [], values: Float32Array.of(2) }],
    inputs: [],
    watched: ["w"],
    iteration: 0,
  };
}

const isTooSlow = (error: unknown) => error instanceof StepwellError && error.code === "loss_too_slow";

Deno.test("within() stops a loss before its next kernel, in either direction, and leaves no tensor behind", () => {
  const job = jobOf("a = w * w; b = a * a; c = b * b; d = c * c; sum(d)");
  const before = tf.memory().numTensors;
  let kernels = 0, count = 0;
  const { runKernel } = tf.engine();
  tf.engine().runKernel = (...kernel) => (kernels += 1, runKernel.apply(tf.engine(), kernel) as never);
  try {
    within(tf, { seconds: 60, now: () => 0 }, () => evaluate(tf, job));
    count = kernels;
    assert.ok(count > 10, `${count}`);
    for (let stop = 0; stop < count; stop++) {
      kernels = 0;
      let looks = 0;
      const now = () => looks++ === 0 || kernels < stop ? 0 : 60_001;
      assert.throws(() => within(tf, { seconds: 60, now }, () => evaluate(tf, job)), isTooSlow);
      assert.equal(kernels, stop);
      assert.equal(tf.memory().numTensors, before);
    }
    assert.equal(within(tf, { seconds: 60, now: () => 0 }, () => evaluate(tf, job)).loss.values[0], 2 ** 16);
  } finally {
    tf.engine().runKernel = runKernel;
  }
});

/** A fake thread that the tests control. */
class Thread {
  static readonly all: Thread[] = [];
  onmessage: (event: { data: unknown }) => void = () => {};
  onerror: (event: unknown) => void = () => {};
  readonly jobs: unknown[] = [];
  isTerminated = false;

  constructor() {
    Thread.all.push(this);
    queueMicrotask(() => this.onmessage({ data: { kind: "ready" } }));
  }

  postMessage(message: unknown): void {
    this.jobs.push(message);
  }

  terminate(): void {
    this.isTerminated = true;
  }
}

/** Acts with a pool of one such thread; `seconds` is the time limit of a loss. */
async function withThreads(seconds: number, act: (pool: WorkerPool) => Promise<void>): Promise<void> {
  const { Worker } = globalThis;
  globalThis.Worker = Thread as unknown as typeof Worker;
  Thread.all.length = 0;
  const pool = new WorkerPool({ workers: 1, seconds, idleSeconds: 60 });
  try {
    await act(pool);
  } finally {
    pool.close();
    globalThis.Worker = Worker;
  }
}

Deno.test("WorkerPool does not replace a thread that a refused loss keeps busy until it is done", async () => {
  await withThreads(0.2, async (pool) => {
    const stuck = pool.evaluate(jobOf("w"), "run");
    await assert.rejects(stuck, (error) => {
      assert.deepEqual(error, tooSlow(0.2));
      return true;
    });
    const next = pool.evaluate(jobOf("w * w"), "run");
    await new Promise((resolve) => setTimeout(resolve, 50));
    const [thread] = Thread.all as [Thread];
    assert.deepEqual([Thread.all.length, thread.jobs.length, thread.isTerminated], [1, 1, false]);
    thread.onmessage({ data: { kind: "done", heapBytes: 0, evaluation: "too late" } });
    assert.deepEqual([Thread.all.length, thread.isTerminated], [2, true]);
    await new Promise((resolve) => setTimeout(resolve, 0));
    const [, other] = Thread.all as [Thread, Thread];
    assert.equal(other.jobs.length, 1);
    other.onmessage({ data: { kind: "done", heapBytes: 0, evaluation: "in time" } });
    assert.equal(await next as unknown, "in time");
  });
});

Deno.test("WorkerPool refuses a loss that waits too long, and takes the next when there is a place", async () => {
  await withThreads(0.05, async (pool) => {
    await assert.rejects(pool.evaluate(jobOf("w"), "run"), isTooSlow);
    const waited = pool.evaluate(jobOf("w"), "run");
    await assert.rejects(waited, (error) => error instanceof StepwellError && error.code === "busy");
    const [thread] = Thread.all as [Thread];
    thread.onmessage({
      data: { kind: "refused", heapBytes: 0, code: "loss_too_slow", message: "", issues: [] },
    });
    const next = pool.evaluate(jobOf("w"), "run");
    await new Promise((resolve) => setTimeout(resolve, 0));
    (Thread.all[1] as Thread).onmessage({ data: { kind: "done", heapBytes: 0, evaluation: "in time" } });
    assert.equal(await next as unknown, "in time");
  });
});

Deno.test("WorkerPool ends a thread after a loss that made its memory large", async () => {
  await withThreads(60, async (pool) => {
    for (const [at, heapBytes] of [2 ** 24, 2 ** 28 + 1, 2 ** 24].entries()) {
      const evaluation = pool.evaluate(jobOf("w"), "run");
      await new Promise((resolve) => setTimeout(resolve, 0));
      const thread = Thread.all.at(-1) as Thread;
      thread.onmessage({ data: { kind: "done", heapBytes, evaluation: at } });
      assert.equal(await evaluation as unknown, at);
      assert.equal(thread.isTerminated, at === 1);
    }
    assert.equal(Thread.all.length, 2);
  });
});

Deno.test("WorkerPool serves the client served longest ago next, and each client's jobs in order", async () => {
  await withThreads(60, async (pool) => {
    const order: string[] = [];
    const asked = ["a1", "a2", "a3", "b1", "c1", "b2"].map(async (name) => {
      await pool.evaluate(jobOf("w"), name.charAt(0));
      order.push(name);
    });
    for (let done = 0; done < asked.length; done++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      (Thread.all[0] as Thread).onmessage({ data: { kind: "done", heapBytes: 0, evaluation: done } });
    }
    await Promise.all(asked);
    assert.deepEqual(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
  });
});

Deno.test("replyToError() refuses a loss that fills tfjs' memory, ends its worker, and passes on other errors", () => {
  const refused = (error: unknown) => {
    const reply = replyToError(error, 7);
    return reply.kind === "refused" ? [reply.code, reply.heapBytes] : reply.kind;
  };
  const aborted = new WebAssembly.RuntimeError("Aborted(). Build with -sASSERTIONS for more info.");
  assert.deepEqual(refused(aborted), ["loss_too_large", Infinity]);
  assert.deepEqual(refused(new RangeError("Array buffer allocation failed")), ["loss_too_large", Infinity]);
  assert.deepEqual(refused(tooSlow(1)), ["loss_too_slow", 7]);
  assert.equal(refused(new WebAssembly.RuntimeError("unreachable")), "failed");
  assert.equal(refused(new RangeError("Maximum call stack size exceeded")), "failed");
  assert.equal(refused("nothing"), "failed");
});
