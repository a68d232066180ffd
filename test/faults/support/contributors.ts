/** Clients that contribute to the rounds of one run together while the service is killed and restarted. */
import assert from "node:assert/strict";
import { below, gradientsCall, pick } from "./bodies.ts";
import { type Answer, codeOf, textOf } from "./calls.ts";
import { deliver, newKey, sleep, type Stage, type Stepper } from "./clients.ts";
import type { Life } from "./life.ts";

interface Contributor extends Stepper {
  readonly name: string;
}

export async function contributeOnAndOn(stage: Stage, life: Life, contributor: Contributor): Promise<void> {
  while (!stage.stopped()) {
    const isTaken = await contribute(stage, life, contributor);
    await sleep(below(contributor.next, isTaken ? 12 : 40));
  }
}

/** Refusals after which a client waits for the next round. */
const UNTIMELY = ["contribution_repeated", "too_stale"];

/** Sends one keyed contribution: plain, twice at a time, with a wait, or wrong. Returns whether it was accepted. */
async function contribute(stage: Stage, life: Life, { plan, next, name }: Contributor): Promise<boolean> {
  const kind = pick(next, [...Array(12).fill("plain"), "twice", "twice", "waits", "wrong"]);
  const fields = kind === "wrong" ? { base_iteration: 1e9 } : {
    // Contributions without client_id count as those of different clients.
    ...next() < 0.6 && { client_id: name },
    ...next() < 0.5 && { weight: 1 + below(next, 9) },
    ...next() < 0.1 && { base_iteration: 0 },
  };
  const path = `${life.path}/gradients`, headers = { "Idempotency-Key": newKey() };
  const call = gradientsCall(next, { plan, path, headers, fields });
  const floor = life.seen;
  life.pending.add(call);
  const waited = kind === "waits"
    ? await deliver(stage, { ...call, headers: { ...call.headers, Prefer: "wait=1" } })
    : undefined;
  // After a wait, the key gives the answer to the contribution itself.
  const attempts = waited && waited.status >= 400 ? [waited] : await Promise.all([
    deliver(stage, call),
    ...kind === "twice" ? [deliver(stage, call)] : [],
  ]);
  life.pending.delete(call);
  // Of two attempts, one may be untimely and the other, after the round has closed, not.
  const [answer, ...others] = attempts.filter(({ status }) => status < 400);
  for (const refused of attempts.filter(({ status }) => status >= 400)) checkRefused(refused, kind);
  if (!answer) return false;
  assert.notEqual(kind, "wrong", textOf(answer));
  for (const other of others) assert.equal(textOf(other), textOf(answer));
  if (waited?.status === 200) checkStep(waited, answer);
  const first = [waited, answer, ...others].find((each) => each?.replayed === false);
  if (!first) stage.figures.replays += 1;
  const told = { ...answer, replayed: first === undefined };
  if (answer.status === 200) life.changed(call, told, { floor, keyed: true });
  else life.contributed(call, told, { floor });
  return true;
}

function checkRefused(answer: Answer, kind: string): void {
  if (kind === "wrong") assert.equal(answer.status, 422, textOf(answer));
  else assert.ok(UNTIMELY.includes(codeOf(answer)), textOf(answer));
}

/** Checks that the step that the client waited for belongs to the contribution's round. */
function checkStep(step: Answer, contribution: Answer): void {
  const made = JSON.parse(textOf(step)), given = JSON.parse(textOf(contribution));
  assert.deepEqual([made.applied, made.round], [true, given.round]);
  assert.ok(step.version > contribution.version || step.version === contribution.version && given.applied);
}
