/**
 * The history of one run as its clients saw it: the acknowledged changes with their versions, and what reads
 * returned. The twin repeats the changes in the same order; its answers and reads must be equal.
 *
 * Versions count changes, so they give the order in which changes were accepted. A version without a known change
 * means that a change was made twice, or that its answer was lost; only a request without a key, which is never
 * sent again, loses its answer for good. Contributions make no version until their round closes: their places give
 * their order.
 */
import assert from "node:assert/strict";
import { type Answer, type Call, digestOf, getCall, textOf } from "./calls.ts";
import { Contributed } from "./contributed.ts";
import type { Twin } from "./twin.ts";

/** An acknowledged request with a key. When it is sent again, it must get the same answer. */
export interface Acknowledged {
  readonly call: Call;
  readonly version: number;
  readonly text: string;
  readonly status: number;
}

interface Change {
  readonly call: Call;
  /** The whole answer, if the twin must give the same one. */
  readonly text: string | undefined;
}

/** A change without a key whose answer was lost: made at one of the versions after `from` up to `to`, or not made. */
interface Lost {
  readonly call: Call;
  readonly from: number;
  /** Undefined until the service is back. */
  to: number | undefined;
  /** Keyed requests without an answer at that time: each may have made one of those versions. */
  rivals: ReadonlySet<Call>;
}

const REPLAYABLE_MAX = 500;

export class Life {
  readonly id: string;
  /** The newest version that any client has seen. */
  seen: number;
  /** Number of acknowledged steps. */
  steps = 0;
  /** Number of changes whose answer was lost and that were made. */
  found = 0;
  checkedReads = 0;
  /** Number of acknowledged steps whose gradients the service computed. */
  minimized = 0;
  /** Number of acknowledged contributions, without those that completed a round. */
  contributions = 0;
  /** Whether iterations equal the number of steps. False once weights are set, which include the iterations. */
  countsSteps = true;
  /** Whether several contributions make one step. */
  readonly gathers: boolean;
  readonly acknowledged: Acknowledged[] = [];
  /** Keyed requests without an answer so far. */
  readonly pending = new Set<Call>();
  readonly #changes = new Map<number, Change>();
  readonly #contributed = new Contributed();
  readonly #lost: Lost[] = [];
  /** All changes, for the message of a failure. */
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

  /** Starts a life with the request that created the run and the version that the run got. */
  static async begin(
    twin: Twin,
    id: string,
    { call, version, gathers = false }: { call: Call; version: number; gathers?: boolean },
  ): Promise<Life> {
    const made = await twin.send(call);
    assert.equal(made.status, 201, textOf(made));
    assert.equal(version, made.version, `the first version of ${id}`);
    return new Life(id, twin, { version, gathers });
  }

  get path(): string {
    return `/v1/runs/${this.id}`;
  }

  /** A client that asked when `floor` was already known has got `version`: it must not be older. */
  told(version: number, floor: number): void {
    assert.ok(version >= floor, `${this.id} went back to version ${version}, it was at ${floor}`);
    this.seen = Math.max(this.seen, version);
  }

  /** Records an acknowledged change. */
  changed(call: Call, answer: Answer, options: { floor: number; keyed: boolean }): void {
    const { version } = answer, text = options.keyed ? textOf(answer) : undefined;
    // A restored run says when it was created and where its files stand, which the twin cannot know.
    const isTwins = !call.path.endsWith("/checkpoint");
    // A replayed answer may be older than the versions that other clients know by now.
    if (!answer.replayed) this.told(version, options.floor + 1);
    this.seen = Math.max(this.seen, version);
    assert.ok(
      version > this.#twinVersion && !this.#changes.has(version),
      `two changes of ${this.id} at version ${version}: ${shown(call)} was acknowledged, so was ${
        this.#made.get(version)
      }`,
    );
    this.#changes.set(version, { call, text: isTwins ? text : undefined });
    this.#made.set(version, shown(call));
    if (text === undefined) return;
    if (isStep(call)) this.steps += 1;
    this.#remember({ call, version, text, status: answer.status });
  }

  #remember(acknowledged: Acknowledged): void {
    this.acknowledged.push(acknowledged);
    if (this.acknowledged.length > REPLAYABLE_MAX) this.acknowledged.shift();
  }

  /** Records an acknowledged contribution to an open round. */
  contributed(call: Call, answer: Answer, { floor }: { floor: number }): void {
    const { version, status } = answer, text = textOf(answer);
    if (!answer.replayed) this.told(version, floor);
    this.seen = Math.max(this.seen, version);
    this.contributions += 1;
    this.#contributed.add(call, answer);
    this.#remember({ call, version, text, status });
  }

  /** Records a change without a key whose answer did not come. */
  lost(call: Call, from: number): void {
    this.#lost.push({ call, from, to: undefined, rivals: new Set() });
  }

  /** Checks the run's state after a restart, before any client changes it. */
  restarted({ version, iterations }: { version: number; iterations: number }): void {
    this.told(version, this.seen);
    for (const lost of this.#lost.filter(({ to }) => to === undefined)) {
      lost.to = version;
      lost.rivals = new Set(this.pending);
    }
    if (!this.countsSteps) return;
    const most = this.steps + [...this.pending].filter(isStep).length;
    assert.ok(
      iterations >= this.steps && iterations <= most,
      `${this.id} is at iteration ${iterations}: ${this.steps} steps were acknowledged, at most ${most} requested`,
    );
  }

  /** Compares the open round with the twin's, without the times at which contributions were accepted. */
  async compareRound(answer: Answer): Promise<void> {
    const timeless = (text: string) => text.replaceAll(/"accepted_at":"[^"]*"/g, "");
    const wanted = await this.#twin.send(getCall(`${this.path}/rounds/current`));
    assert.equal(timeless(textOf(answer)), timeless(textOf(wanted)), `the round of ${this.id}`);
  }

  /** Records what a client got when it read `path`. */
  read(path: string, answer: Answer, floor: number): void {
    this.told(answer.version, floor);
    const digest = digestOf(answer.body);
    const reads = this.#reads.get(answer.version) ?? new Map<string, string>();
    assert.equal(reads.get(path) ?? digest, digest, `${path} at version ${answer.version} has two contents`);
    this.#reads.set(answer.version, reads.set(path, digest));
  }

  /** Repeats every change with a known version on the twin, and compares answers and reads. */
  async advance(): Promise<void> {
    // A pending contribution may have been accepted before others that are already known.
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

  /** Checks, when no request is pending, that every version has its change and every change its version. */
  async finish(): Promise<void> {
    assert.equal(this.pending.size, 0);
    await this.advance();
    assert.equal(
      this.#twinVersion,
      this.seen,
      `version ${
        this.#twinVersion + 1
      } of ${this.id} has no change that a client requested: ${this.#story()}`,
    );
    assert.equal(this.#changes.size, 0);
    assert.equal(this.#contributed.versions, 0);
  }

  /** The known changes around the twin's version. */
  #story(): string {
    const versions = Array.from({ length: 12 }, (_, at) => this.#twinVersion - 4 + at);
    const lost = this.#lost.map(({ call, from, to }) => `${shown(call)} lost between ${from} and ${to}`);
    return [...versions.map((version) => `${version} ${this.#made.get(version)}`), ...lost].join("\n");
  }

  /** Ends the life of a deleted run, and deletes the run on the twin. */
  async end(): Promise<void> {
    await this.finish();
    await this.#twin.send({ method: "DELETE", path: this.path, headers: {} });
  }
}

const isStep = ({ path }: Call) => /\/(gradients|minimize)$/.test(path);

const shown = ({ method, path, headers }: Call) => `${method} ${path} ${headers["Idempotency-Key"] ?? ""}`;
