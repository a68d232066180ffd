/**
 * The session of one run: validates everything, then changes state in one synchronous turn.
 *
 * It wires up its parts, which do the work, and refuses calls when it is frozen or has ended. Invariants: a method
 * that throws has changed nothing. Turns cannot interleave, because none of them awaits; a reader gets copies of one
 * version. `version` counts every change of state, `iterations` the applied steps.
 */
import { StepwellError } from "../../errors.ts";
import type { OptimizerMember } from "../../families/optimizers/member/optimizer_member.ts";
import { type Releasable, releasable } from "../../releasable.ts";
import type { NamedTensor } from "../../tensor.ts";
import { EventLog } from "../answers/events.ts";
import { Replies } from "../answers/replies.ts";
import type { RoundDescription, RoundOutcome } from "../api/rounds.ts";
import type { Member, RunDescription } from "../api/run_description.ts";
import type { BodyLimits, Publication, RunSession, Staging } from "../api/run_session.ts";
import type { ContributionAnswer, KeyUse, PatchedOptimizer, StepAnswer, StepOptions } from "../api/steps.ts";
import type { CheckpointCopy, LiveCheckpoint } from "../checkpoint/checkpoint.ts";
import type { RoundEnd } from "../journal/change_records.ts";
import { Recorder } from "../journal/recorder.ts";
import { Round } from "../rounds/round.ts";
import type { Durability } from "../spec/spec.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { RunState } from "../tensors/state.ts";
import { getWeights, type WholeWeights } from "../tensors/weights.ts";
import { Editor } from "./editor.ts";
import { endedError, type Ending } from "./ending.ts";
import { LateHost, type SessionHost } from "./host.ts";
import { Reader } from "./reader.ts";
import { RoundStepper } from "./round_stepper.ts";
import type { SessionParts } from "./session_parts.ts";
import { Stagings } from "./stagings.ts";
import { Stepper } from "./stepper.ts";

export class Session implements RunSession {
  readonly id: string;
  readonly createdAt: string;
  readonly durability: Durability;
  readonly mode: RunSession["mode"];
  /** How long a round may be open at most, in milliseconds; null without a deadline. */
  readonly deadlineMs: number | null;
  /** The answers to keyed requests. */
  readonly replies: Replies;
  readonly events: EventLog;
  readonly #state: RunState;
  readonly #isPlain: boolean;
  readonly #host: LateHost;
  readonly #recorder: Recorder;
  readonly #stagings: Stagings;
  readonly #reader: Reader;
  readonly #editor: Editor;
  readonly #stepper: Stepper;
  readonly #round: Round;
  readonly #roundStepper: RoundStepper;
  #version: number;
  #ending: Ending | undefined;
  #isFrozen = false;

  constructor(parts: SessionParts) {
    const { spec, state, memory, runner, now } = parts, { aggregation } = spec;
    this.id = parts.id;
    this.createdAt = parts.createdAt;
    this.durability = spec.durability;
    this.mode = aggregation.mode;
    this.deadlineMs = aggregation.deadlineSeconds === null ? null : 1000 * aggregation.deadlineSeconds;
    this.#isPlain = aggregation.isPlain;
    this.#state = state;
    this.#version = parts.version;
    const host = this.#host = new LateHost(parts.records);
    const recorder = this.#recorder = new Recorder(parts.sequence ?? parts.version, host);
    this.replies = parts.replies ?? new Replies();
    this.events = new EventLog(recorder.sequence, parts.lastEvent);
    this.#stagings = new Stagings({ id: parts.id, memory, state, recorder, takesRegions: !this.#isPlain });
    const round = this.#round = new Round({ state, memory, runner, aggregation }, parts.round ?? 0);
    const changes = { session: this, host, spec, state, recorder, changed: () => this.#changed() };
    const stepper = this.#stepper = new Stepper({ ...changes, runner, latest: parts.steps ?? [] });
    this.#editor = new Editor({ ...changes, stepper });
    const steps = { session: this, spec, state, stepper, round };
    this.#roundStepper = new RoundStepper({ ...steps, host, now, recorder });
    this.#reader = new Reader({ ...steps, memory, runner });
  }

  get iterations(): number {
    return this.#state.iterations;
  }

  get version(): number {
    return this.#version;
  }

  /** Sequence number of the next change. */
  get sequence(): number {
    return this.#recorder.sequence;
  }

  /** Whether the open round has no contributions, which a snapshot cannot hold. */
  get isQuiet(): boolean {
    return this.#round.contributions.length === 0;
  }

  /** When the open round is due, in milliseconds since 1970; null without a deadline. */
  get deadline(): number | null {
    return this.#round.deadline;
  }

  /** Whether a body is being received. */
  get isReceiving(): boolean {
    return this.#stagings.isReceiving;
  }

  /** Bytes of variables and slots, and of the bodies being received. */
  get bytes(): { readonly state: number; readonly staging: number } {
    return { state: this.#state.bytes, staging: this.#stagings.bytes };
  }

  /** The run's optimizer member, which never changes. */
  get optimizerMember(): OptimizerMember {
    return this.#stepper.optimizers[0].member;
  }

  describe(): RunDescription {
    return { ...this.#reader.describe(), ...this.#host.describeStorage() };
  }

  get limits(): BodyLimits {
    return this.#reader.limits;
  }

  layingOut(): Generator<number, unknown> {
    return this.#reader.layingOut();
  }

  get variableCount(): number {
    return this.#state.variables.size;
  }

  publish(names?: readonly string[]): Publication {
    this.#assertOpen();
    return this.#reader.publish(names);
  }

  gather(
    name: string,
    indices: readonly number[] | Int32Array,
    options: { readonly bytesMax: number },
  ): NamedTensor {
    this.#assertOpen();
    return this.#reader.gather(name, indices, options);
  }

  slotNames(): readonly string[] {
    return this.#state.slotNames;
  }

  readSlot(slot: string): readonly NamedTensor[] {
    return this.#reader.readSlot(slot);
  }

  weights(): { readonly iterations: number | null; readonly tensors: readonly NamedTensor[] } {
    return getWeights(this.#state);
  }

  optimizer(group?: string): Member {
    return this.#reader.optimizer(group);
  }

  steps(limit: number): readonly StepAnswer[] {
    return this.#reader.steps(limit);
  }

  /** A copy of the whole run. */
  checkpoint(): CheckpointCopy {
    this.#assertOpen();
    return this.#reader.checkpoint();
  }

  /** The whole run as it lies in its memory, valid until the next change, with what it remembers of its answers. */
  liveCheckpoint(): LiveCheckpoint {
    this.#assertOpen();
    return this.#reader.liveCheckpoint();
  }

  /** Gives back the memory that only past requests needed. Returns whether there was any. */
  shrink(): boolean {
    if (this.#ending || this.isReceiving || !this.isQuiet) return false;
    this.#reader.invalidate();
    this.#stagings.shrink();
    return this.#state.shrink();
  }

  /** Gives the session its host. This can be done once. */
  attach(host: SessionHost): void {
    this.#host.attach(host);
  }

  stage(kind: "gradients" | "values"): ArenaStaging {
    this.#assertOpen();
    return this.#stagings.stage(kind);
  }

  applyGradients(staging: Staging, options: StepOptions): StepAnswer | ContributionAnswer {
    if (this.#isPlain || !options.aggregate) return this.step(staging, options);
    return this.#roundStepper.apply(this.#staged(staging, "gradients"), options);
  }

  /** Makes a step of one contribution. */
  step(staging: Staging, options: StepOptions): StepAnswer {
    return this.#stepper.step(this.#staged(staging, "gradients"), options);
  }

  /** Adds a contribution to the open round, which stays open. */
  contribute(staging: Staging, options: StepOptions & { readonly at?: number }): ContributionAnswer {
    return this.#roundStepper.contribute(this.#staged(staging, "gradients"), options);
  }

  /** Ends the open round, with a step or without effect. Throws out_of_memory, storage_full, storage_failed. */
  endRound(end: RoundEnd): StepAnswer | undefined {
    this.#assertUnfrozen();
    return this.#roundStepper.end(end);
  }

  /**
   * Ends the round if it is complete but could not be closed, or if its deadline has passed, which `isDue` says whatever
   * the clock says. Throws what `endRound` throws; then the round is still due.
   */
  endDueRound({ isDue = false } = {}): void {
    this.#assertUnfrozen();
    this.#roundStepper.endIfDue(isDue);
  }

  round(): RoundDescription {
    this.#assertOpen();
    return { ...this.#round.describe(), version: this.#version };
  }

  outcome(round: number): RoundOutcome | undefined {
    return this.#round.outcome(round);
  }

  withdraw(clientId: string): void {
    this.#assertUnfrozen();
    this.#roundStepper.withdraw(clientId);
  }

  setVariables(staging: Staging, key?: KeyUse): void {
    this.#editor.setVariables(this.#staged(staging, "values"), key);
  }

  setWeights(weights: readonly unknown[] | WholeWeights, key?: KeyUse): void {
    this.#assertUnfrozen();
    this.#editor.setWeights(weights, key);
  }

  patchOptimizer(
    config: Readonly<Record<string, unknown>>,
    options?: { readonly key?: KeyUse | undefined; readonly group?: string | undefined },
  ): PatchedOptimizer {
    this.#assertUnfrozen();
    return this.#editor.patchOptimizer(config, options);
  }

  /** Ends the session. Its memory is released once the last body being received is. */
  close(ending: Ending = "deleted"): void {
    if (this.#ending) return;
    this.#ending = ending;
    this.#host.deadlineChanged(null);
    this.#reader.invalidate();
    this.#round.release();
    this.#stagings.end();
    this.events.close();
  }

  /** Refuses changes until the result is released. Throws busy if they are refused already. */
  freeze(): Releasable {
    this.#assertUnfrozen();
    this.#isFrozen = true;
    return releasable(() => void (this.#isFrozen = false));
  }

  #assertUnfrozen(): void {
    this.#assertOpen();
    if (!this.#isFrozen) return;
    throw new StepwellError("busy", `Cannot change the run "${this.id}": a checkpoint is replacing it`);
  }

  #assertOpen(): void {
    if (this.#ending) throw endedError(this.id, this.#ending);
  }

  #changed(): void {
    this.#version += 1;
    this.#reader.invalidate();
  }

  #staged(staging: Staging, kind: "gradients" | "values"): ArenaStaging {
    this.#assertUnfrozen();
    return this.#stagings.received(staging, kind);
  }
}
