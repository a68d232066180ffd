/**
 * A run whose durability lets a crash take something away, and its only client. With "snapshot" the run goes back to
 * its last snapshot, with "none" it is gone; and nothing else: what is there afterwards has the bits that its version
 * had before.
 */
import assert from "node:assert/strict";
import { gradientsCall, type Random } from "./bodies.ts";
import { type Answer, digestOf, getCall, jsonCall, textOf } from "./calls.ts";
import { attempt, deliver, newKey, sleep, type Stage } from "./clients.ts";
import { createBody, PASSING } from "./plans.ts";
import type { Server } from "./server.ts";

interface Origin {
  readonly durability: "snapshot" | "none";
  readonly next: Random;
}

export class Forgetful {
  readonly #durability: Origin["durability"];
  readonly #next: Random;
  #exists = false;
  /** The newest version that an answer told of, since the run went back. */
  #seen = 0;
  /** The newest snapshot that an answer told of. */
  #saved = 0;
  /** What the variables were, by version. */
  readonly #digests = new Map<number, string>();
  /** Number of steps that crashes took away. */
  forgotten = 0;
  steps = 0;

  constructor({ durability, next }: Origin) {
    this.#durability = durability;
    this.#next = next;
  }

  /** Whether the service has the run, as far as its client knows. */
  get exists(): boolean {
    return this.#exists;
  }

  get id(): string {
    return `forgets-${this.#durability}`;
  }

  get #path(): string {
    return `/v1/runs/${this.id}`;
  }

  async stepOnAndOn(stage: Stage): Promise<void> {
    while (!stage.stopped()) {
      if (!this.#exists) await this.#create(stage);
      else await this.#step(stage);
      await this.#read(stage);
      await sleep(Math.floor(this.#next() * 12));
    }
  }

  async #create(stage: Stage): Promise<void> {
    const plan = { ...PASSING, durability: this.#durability };
    const headers = { "Idempotency-Key": newKey() };
    const answer = await deliver(stage, jsonCall("POST", "/v1/runs", createBody(this.id, plan), headers));
    assert.equal(answer.status, 201, textOf(answer));
    this.#exists = true;
    this.#seen = this.#saved = 0;
    this.#digests.clear();
  }

  async #step(stage: Stage): Promise<void> {
    const path = `${this.#path}/gradients`, headers = { "Idempotency-Key": newKey() };
    const answer = await deliver(
      stage,
      gradientsCall(this.#next, { plan: PASSING, path, headers, fields: {} }),
    );
    if (this.#isGone(answer)) return;
    assert.equal(answer.status, 200, textOf(answer));
    if (!answer.replayed) assert.equal(answer.version, this.#seen + 1, textOf(answer));
    this.#seen = Math.max(this.#seen, answer.version);
    this.steps += 1;
  }

  async #read(stage: Stage): Promise<void> {
    const answer = await attempt(stage, getCall(`${this.#path}/variables`));
    if (answer?.status === 200) this.#compare(answer);
  }

  #compare(answer: Answer): void {
    const { version } = answer, digest = digestOf(answer.body);
    assert.equal(version, this.#seen);
    assert.equal(this.#digests.get(version) ?? digest, digest, `the bits of ${this.id} at ${version}`);
    this.#digests.set(version, digest);
  }

  #isGone({ status }: Answer): boolean {
    if (status !== 404) return false;
    assert.equal(this.#durability, "none");
    this.#forgetAll();
    return true;
  }

  #forgetAll(): void {
    if (this.#exists) this.forgotten += this.#seen;
    this.#exists = false;
  }

  /** Checks the run after a start, before its client goes on. `wasAsked`: the service had time to save it. */
  async restarted(server: Server, { wasAsked }: { wasAsked: boolean }): Promise<void> {
    if (!this.#exists) return;
    const answer = await server.send(getCall(this.#path));
    if (this.#durability === "none") {
      assert.equal(answer.status, 404, textOf(answer));
      return this.#forgetAll();
    }
    assert.equal(answer.status, 200, textOf(answer));
    const { version, snapshot_version } = JSON.parse(textOf(answer)) as Record<string, number>;
    assert.ok(version !== undefined && snapshot_version !== undefined);
    const least = wasAsked ? this.#seen : this.#saved;
    // One step more may have been taken whose answer did not come.
    assert.ok(
      version >= least && version <= this.#seen + 1,
      `${this.id} is at ${version}, must be from ${least} to ${this.#seen + 1}`,
    );
    this.forgotten += Math.max(0, this.#seen - version);
    this.#seen = version;
    this.#saved = snapshot_version;
    for (const later of this.#digests.keys()) if (later > version) this.#digests.delete(later);
    this.#compare(await server.send(getCall(`${this.#path}/variables`)));
  }
}
