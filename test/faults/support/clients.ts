/**
 * Clients that use the service while it is killed and restarted: steppers (keyed steps, sent again until answered),
 * and an owner for each run (reads, and changes with and without a key). passer_by.ts creates, forks and deletes runs.
 *
 * Clients know the service only by its answers, which they record in lives (life.ts).
 */
import assert from "node:assert/strict";
import { below, gradientsCall, pick, type Random, variablesCall } from "./bodies.ts";
import { type Answer, type Call, codeOf, fileCall, getCall, jsonCall, textOf } from "./calls.ts";
import type { Life } from "./life.ts";
import type { Plan } from "./plans.ts";
import type { Server } from "./server.ts";

export interface Stage {
  readonly server: Server;
  readonly stopped: () => boolean;
  /** Numbers of answers, of retries, and of lost answers that a retry found. */
  readonly figures: { answers: number; retries: number; replays: number };
}

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The answer, or undefined when the connection broke. */
export async function attempt({ server, figures }: Stage, call: Call): Promise<Answer | undefined> {
  await server.opened;
  try {
    const answer = await server.send(call);
    figures.answers += 1;
    return answer;
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Sends a request until it is answered. A refusal that asks for a retry does not count as an answer. */
export async function deliver(stage: Stage, call: Call): Promise<Answer & { readonly attempts: number }> {
  for (let attempts = 1;; attempts += 1) {
    const answer = await attempt(stage, call);
    if (answer && !comesAgain(answer)) return { ...answer, attempts };
    stage.figures.retries += 1;
    await sleep(5);
  }
}

/** Refusals that change nothing and that a retry will not meet again. Storage does not fail here. */
const PASSING_CODES = ["shutting_down", "busy", "key_in_progress", "run_replaced"];

const comesAgain = (answer: Answer) => answer.status >= 400 && PASSING_CODES.includes(codeOf(answer));

let keys = 0;

/** A new Idempotency-Key. */
export const newKey = () => `key-${keys += 1}`;

/** Sends one keyed step: plain, twice at a time, for one version only, or wrong. */
export async function step(stage: Stage, life: Life, { plan, next }: Stepper): Promise<void> {
  const kind = pick(next, [...Array(14).fill("plain"), "twice", "twice", "at version", "wrong"]);
  const headers = {
    "Idempotency-Key": newKey(),
    ...kind === "at version" && { "If-Match": `"v${life.seen}"` },
  };
  const fields = kind === "wrong" ? { base_iteration: 1e9 } : {
    ...next() < 0.2 && { client_id: "phone", weight: 1 + below(next, 9) },
    ...next() < 0.2 && { base_iteration: 0 },
    ...next() < 0.2 && { hyperparameters: { learning_rate: 0.03 } },
  };
  const call = gradientsCall(next, { plan, path: `${life.path}/gradients`, headers, fields });
  const floor = life.seen;
  life.pending.add(call);
  const answers = await Promise.all([
    deliver(stage, call),
    ...kind === "twice" ? [deliver(stage, call)] : [],
  ]);
  life.pending.delete(call);
  const answer = answers.find(({ replayed }) => !replayed) ?? answers[0] as Answer;
  const sent = answers.reduce((sum, { attempts }) => sum + attempts, 0);
  if (kind === "wrong") {
    assert.equal(answer.status, 422, textOf(answer));
    return;
  }
  if (answer.status === 412 && kind === "at version") return;
  for (const { status, body } of answers) {
    assert.equal(status, 200, new TextDecoder().decode(body));
    assert.deepEqual(body, answer.body);
  }
  if (answer.replayed) {
    stage.figures.replays += 1;
    assert.ok(sent > answers.length, "An answer was replayed, but the request was sent once");
  }
  life.changed(call, answer, { floor, keyed: true });
}

export interface Stepper {
  readonly plan: Plan;
  readonly next: Random;
}

export async function stepOnAndOn(stage: Stage, life: Life, stepper: Stepper): Promise<void> {
  while (!stage.stopped()) {
    await step(stage, life, stepper);
    await sleep(below(stepper.next, 12));
  }
}

/** Lets the service compute the gradients, one keyed request after the other. */
export async function minimizeOnAndOn(stage: Stage, life: Life, body: unknown): Promise<void> {
  while (!stage.stopped()) {
    const headers = { "Idempotency-Key": newKey() };
    const call = jsonCall("POST", `${life.path}/minimize`, body, headers);
    const floor = life.seen;
    life.pending.add(call);
    const answer = await deliver(stage, call);
    life.pending.delete(call);
    assert.equal(answer.status, 200, textOf(answer));
    if (answer.replayed) stage.figures.replays += 1;
    life.changed(call, answer, { floor, keyed: true });
    life.minimized += 1;
  }
}

/** Reads, and changes: half of them cannot be sent again, because they have no key. */
export async function own(stage: Stage, life: Life, { plan, next }: Stepper): Promise<void> {
  let checkpoint: Uint8Array<ArrayBuffer> | undefined, weights: Uint8Array<ArrayBuffer> | undefined;
  // A checkpoint of a run with rounds changes with each contribution, without a new version.
  const whole = life.gathers ? [] : ["/checkpoint"];
  const reads = ["/variables", "/variables", "/weights", "/optimizer", ...whole];
  const change = (call: Call) =>
    next() < 0.5 ? changeKeyed(stage, life, call) : changeOnce(stage, life, call);
  while (!stage.stopped()) {
    const dice = next();
    if (dice < 0.6) {
      const path = pick(next, reads);
      const answer = await read(stage, life, life.path + path);
      if (path === "/checkpoint") checkpoint = answer?.body ?? checkpoint;
      if (path === "/weights" && life.steps > 0) weights = answer?.body ?? weights;
    } else if (dice < 0.75) await change(variablesCall(next, plan, `${life.path}/variables`));
    else if (dice < 0.9) {
      const config = pick(next, plan.patches);
      await change(jsonCall("PATCH", `${life.path}/optimizer`, { config }));
    } else if (!life.countsSteps && dice < 0.95 && weights) {
      await change(fileCall("PUT", `${life.path}/weights`, weights));
    } else if (!life.countsSteps && checkpoint) {
      await change(fileCall("PUT", `${life.path}/checkpoint`, checkpoint));
    }
    await sleep(below(next, 20));
  }
}

async function read(stage: Stage, life: Life, path: string): Promise<Answer | undefined> {
  await stage.server.opened;
  const floor = life.seen;
  const answer = await attempt(stage, getCall(path));
  if (!answer || comesAgain(answer)) return undefined;
  assert.equal(answer.status, 200, textOf(answer));
  life.read(path, answer, floor);
  return answer;
}

/** Sends it again until it is answered: then it was made once. */
async function changeKeyed(stage: Stage, life: Life, { headers, ...rest }: Call): Promise<void> {
  const call = { ...rest, headers: { ...headers, "Idempotency-Key": newKey() } };
  const floor = life.seen;
  life.pending.add(call);
  const answer = await deliver(stage, call);
  life.pending.delete(call);
  if (isForAnotherState(answer)) return;
  assert.equal(answer.status, 200, textOf(answer));
  if (answer.replayed) {
    stage.figures.replays += 1;
    assert.ok(answer.attempts > 1, "An answer was replayed, but the request was sent once");
  }
  life.changed(call, answer, { floor, keyed: true });
}

/** The weights of a run that has stepped do not fit the run after a restore to its beginning: it has no slots. */
const isForAnotherState = (answer: Answer) => answer.status === 422 && codeOf(answer) === "invalid_weights";

async function changeOnce(stage: Stage, life: Life, call: Call): Promise<void> {
  await stage.server.opened;
  const floor = life.seen;
  const answer = await attempt(stage, call);
  if (!answer) return life.lost(call, floor);
  if (comesAgain(answer) || isForAnotherState(answer)) return;
  assert.equal(answer.status, 200, textOf(answer));
  life.changed(call, answer, { floor, keyed: false });
}
