/**
 * What is known of one run from its creation to its deletion: which changes were acknowledged, at which version, what
 * readers saw; and whether all of that can be true of a run that the twin makes in that very order.
 *
 * Versions count changes, so the accepted order is theirs. A version without a change is a change that was made twice,
 * or one whose answer was lost; a request that could not be sent again (it has no key) may be the latter. Contributions
 * to a round make no version until it closes: their order is that of their places in it.
 */
import assert from "node:assert/strict";
import { type Answer, type Call, digestOf, getCall, textOf } from "./calls.ts";
import { Contributed } from "./contributed.ts";
import type { Twin } from "./twin.ts";

/** An acknowledged request with a key: sent again, it must get the same answer. */
export interface Acknowledged {
  readonly call: Call;
  readonly version: number;
  readonly text: string;
  readonly status: number;
}

interface Change {
  readonly call: Call;
  /** The whole answer, where the twin's must be the same. */
  readonly text: string | undefined;
}

/** A change without a key whose answer was lost: made at one of the versions after `from` up to `to`, or not made. */
interface Lost {
  readonly call: Call;
  readonly from: number;
  /** Unknown until the service is back. */
  to: number | undefined;
  /** Keyed requests that were on their way then: each may turn out to have made one of those versions. */
  rivals: ReadonlySet<Call>;
}

const REPLAYABLE_MAX = 500;

export class Life {
  readonly id: string;
  /** The newest version that anybody was told of. */
  seen: number;
  /** Steps that were acknowledged. */
  steps = 0;
  /** Changes that were lost on the way and found to have been made. */
  found = 0;
  checkedReads = 0;
  /** Contributions that were acknowledged, beside those that made their steps. */
  contributions = 0;
  /** Whether iterations are the number of steps: not once weights were set, which hold them. */
  countsSteps = true;
  /** Whether steps are made of several contributions. */
  readonly gathers: boolean;
  readonly acknowledged: Acknowledged[] = [];
  /** Keyed requests without an answer so far. */
  readonly pending = new Set<Call>();
  readonly #changes = new Map<number, Change>();
  readonly #contributed = new Contributed();
  readonly #lost: Lost[] = [];
  /** All changes, for the one who has to read a failure. */
  readonly #made = new Map<number, string>();
  /** What readers saw: version and path → digest. */
  readonly #reads = new Map<number, Map<string, string>>();
  #twinVersion: number;
  readonly #twin: Twin;

  private constructor(id: string, twin: Twin, { version, gathers }: { version: number; gathers: boolean }) {
    this.id = id;
    this.gathers = gathers;
    this.seen = this.#twinVersion = version;
    this.#twin = twin;
  }

  /** A life begins with what made the run, and the version that it was made with. */
  static async begin(
    twin: Twin,
    id: string,
    { call, version, gathers = false }: { call: Call; version: number; gathers?: boolean },
  ): Promise<Life> {
    const made = await twin.send(call);
    assert.equal(made.status, 201, textOf(made));
    assert.equal(version, made.version, `the version that ${id} begins with`);
    return new Life(id, twin, { version, gathers });
  }

  get path(): string {
    return `/v1/runs/${this.id}`;
  }

  /** Somebody was told of a version who asked when `floor` had been told already: it must not have gone back. */
  told(version: number, floor: number): void {
    assert.ok(version >= floor, `${this.id} went back to version ${version}, it was at ${floor}`);
    this.seen = Math.max(this.seen, version);
  }

  /** A change was acknowledged. */
  changed(call: Call, answer: Answer, options: { floor: number; keyed: boolean }): void {
    const { version } = answer, text = options.keyed ? textOf(answer) : undefined;
    // The answer to a request that was sent more than once may be older than what others know by now.
    if (!answer.replayed) this.told(version, options.floor + 1);
    this.seen = Math.max(this.seen, version);
    assert.ok(
      version > this.#twinVersion && !this.#changes.has(version),
      `two changes of ${this.id} at version ${version}: ${shown(call)} was acknowledged, so was ${
        this.#made.get(version)
      }`,
    );
    this.#changes.set(version, { call, text });
    this.#made.set(version, shown(call));
    if (text === undefined) return;
    this.steps += 1;
    this.#remember({ call, version, text, status: answer.status });
  }

  #remember(acknowledged: Acknowledged): void {
    this.acknowledged.push(acknowledged);
    if (this.acknowledged.length > REPLAYABLE_MAX) this.acknowledged.shift();
  }

  /** A contribution to an open round was acknowledged. */
  contributed(call: Call, answer: Answer, { floor }: { floor: number }): void {
    const { version, status } = answer, text = textOf(answer);
    if (!answer.replayed) this.told(version, floor);
    this.seen = Math.max(this.seen, version);
    this.contributions += 1;
    this.#contributed.add(call, answer);
    this.#remember({ call, version, text, status });
  }

  /** The answer to a change without a key did not come. */
  lost(call: Call, from: number): void {
    this.#lost.push({ call, from, to: undefined, rivals: new Set() });
  }

  /** The service is back, with this version, and nobody has changed the run since. */
  restarted({ version, iterations }: { version: number; iterations: number }): void {
    this.told(version, this.seen);
    for (const lost of this.#lost.filter(({ to }) => to === undefined)) {
      lost.to = version;
      lost.rivals = new Set(this.pending);
    }
    if (!this.countsSteps) return;
    const most = this.steps + this.pending.size;
    assert.ok(
      iterations >= this.steps && iterations <= most,
      `${this.id} is at iteration ${iterations}: ${this.steps} steps were acknowledged, at most ${most} were asked for`,
    );
  }

  /** The open round is the twin's, but for the moments at which its contributions came. */
  async compareRound(answer: Answer): Promise<void> {
    const timeless = (text: string) => text.replaceAll(/"accepted_at":"[^"]*"/g, "");
    const wanted = await this.#twin.send(getCall(`${this.path}/rounds/current`));
    assert.equal(timeless(textOf(answer)), timeless(textOf(wanted)), `the round of ${this.id}`);
  }

  /** Somebody read `path` and got this. */
  read(path: string, answer: Answer, floor: number): void {
    this.told(answer.version, floor);
    const digest = digestOf(answer.body);
    const reads = this.#reads.get(answer.version) ?? new Map<string, string>();
    assert.equal(reads.get(path) ?? digest, digest, `${path} at version ${answer.version} has two contents`);
    this.#reads.set(answer.version, reads.set(path, digest));
  }

  /** Lets the twin make every change whose place is known, and compares answers and reads. */
  async advance(): Promise<void> {
    // One whose answer is on its way may have come before others that are known.
    if (this.gathers && this.pending.size > 0) return;
    for (;;) {
      await this.#contributed.repeat(this.#twin, this.#twinVersion);
      await this.#compareReads();
      const version = this.#twinVersion + 1;
      const change = this.#changes.get(version) ?? this.#findLost(version);
      if (!change) return;
      const answer = await this.#twin.send(change.call);
      assert.equal(answer.version, version, `${this.id}: the twin says ${textOf(answer)}`);
      if (change.text !== undefined) assert.equal(change.text, textOf(answer), `the answer of ${this.id}`);
      this.#changes.delete(version);
      this.#twinVersion = version;
    }
  }

  #findLost(version: number): Change | undefined {
    const at = this.#lost.findIndex(({ from, to }) => to !== undefined && from < version && version <= to);
    if (this.#lost[at] && !this.pending.isDisjointFrom(this.#lost[at].rivals)) return undefined;
    const [lost] = at < 0 ? [] : this.#lost.splice(at, 1);
    if (lost) this.found += 1;
    if (lost) this.#made.set(version, `${shown(lost.call)}, lost between ${lost.from} and ${lost.to}`);
    return lost && { call: lost.call, text: undefined };
  }

  async #compareReads(): Promise<void> {
    for (const [path, digest] of this.#reads.get(this.#twinVersion) ?? []) {
      const answer = await this.#twin.send(getCall(path));
      assert.equal(answer.status, 200, textOf(answer));
      assert.equal(digest, digestOf(answer.body), `the bits of ${path} at version ${this.#twinVersion}`);
      this.checkedReads += 1;
    }
    this.#reads.delete(this.#twinVersion);
  }

  /** Nothing is on its way any more: every version has its change, every change its version. */
  async finish(): Promise<void> {
    assert.equal(this.pending.size, 0);
    await this.advance();
    assert.equal(
      this.#twinVersion,
      this.seen,
      `version ${
        this.#twinVersion + 1
      } of ${this.id} has no change that was asked for once: ${this.#story()}`,
    );
    assert.equal(this.#changes.size, 0);
    assert.equal(this.#contributed.versions, 0);
  }

  /** What is known around the version at which the twin stands. */
  #story(): string {
    const versions = Array.from({ length: 12 }, (_, at) => this.#twinVersion - 4 + at);
    const lost = this.#lost.map(({ call, from, to }) => `${shown(call)} lost between ${from} and ${to}`);
    return [...versions.map((version) => `${version} ${this.#made.get(version)}`), ...lost].join("\n");
  }

  /** The run is gone: the twin forgets it too. */
  async end(): Promise<void> {
    await this.finish();
    await this.#twin.send({ method: "DELETE", path: this.path, headers: {} });
  }
}

const shown = ({ method, path, headers }: Call) => `${method} ${path} ${headers["Idempotency-Key"] ?? ""}`;
