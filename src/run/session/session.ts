/**
 * One open run: validates everything, then changes state in one synchronous turn.
 *
 * Invariants: a method that throws has changed nothing. Turns cannot interleave, because none of them awaits; a
 * reader gets copies of one version. `version` counts every change of state, `iterations` the applied steps.
 */
import { type Runner } from "../../../kernels/compiler/plan.ts";
import { StepwellError } from "../../errors.ts";
import { overwrite } from "../../families/optimizers/attributes.ts";
import type { OptimizerMember } from "../../families/optimizers/definition.ts";
import { getConfig, ruleOf } from "../../families/optimizers/optimizer.ts";
import { type Releasable, releasable } from "../../releasable.ts";
import type { NamedTensor } from "../../tensor.ts";
import type {
  ContributionAnswer,
  Member,
  Publication,
  RoundDescription,
  RoundOutcome,
  RunDescription,
  RunSession,
  Staging,
  StepAnswer,
  StepOptions,
} from "../api.ts";
import { optimizerChange, type RoundEnd, stagedChange, weightsChange } from "../journal/change_records.ts";
import type { ChangeLog } from "../journal/change_log.ts";
import {
  type CheckpointCopy,
  checkpointOf,
  type LiveCheckpoint,
  liveCheckpointOf,
} from "../checkpoint/checkpoint.ts";
import { describeRun } from "./describe.ts";
import { endedError, type Ending } from "./ending.ts";
import { EventLog } from "../answers/events.ts";
import { LateHost, type SessionHost } from "./host.ts";
import { gather, rowsToGather } from "../tensors/gather.ts";
import type { Memory } from "../tensors/memory.ts";
import { Publisher } from "../tensors/publication.ts";
import { Recorder } from "../journal/recorder.ts";
import { rememberedMetadata } from "../answers/remembered.ts";
import { Replies } from "../answers/replies.ts";
import { Round } from "../rounds/round.ts";
import { RoundStepper } from "./round_stepper.ts";
import type { Durability, ResolvedSpec } from "../spec/spec.ts";
import { ArenaStaging } from "../staging/staging.ts";
import type { RunState } from "../tensors/state.ts";
import { Stepper } from "./stepper.ts";
import { getWeights, setWeights } from "../tensors/weights.ts";

/** A body may be this much larger than the numbers in it: names, metadata, white space. */
const BODY_SLACK_BYTES = 1024 ** 2;
/** Bytes a number may take: float64 with repeated rows; a nested JSON number with its indentation. */
const BYTES_PER_NUMBER = { safetensors: 16, json: 40 } as const;

export interface SessionParts {
  readonly id: string;
  readonly spec: ResolvedSpec;
  readonly state: RunState;
  readonly memory: Memory;
  readonly runner: Runner;
  readonly createdAt: string;
  readonly version: number;
  /** Of the next change; absent: the version. */
  readonly sequence?: number;
  /** Of the open round; absent: the first. */
  readonly round?: number;
  readonly replies?: Replies;
  /** The latest of an earlier session, oldest first. */
  readonly steps?: readonly StepAnswer[];
  /** The id of the last event of an earlier session. */
  readonly lastEvent?: string | undefined;
  /** Reads the journal that the session is made from; absent for a new run. */
  readonly records?: ChangeLog["records"];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class Session implements RunSession {
  readonly id: string;
  readonly createdAt: string;
  readonly #spec: ResolvedSpec;
  readonly #state: RunState;
  readonly #memory: Memory;
  readonly #runner: Runner;
  readonly #publisher: Publisher;
  /** The answers to keyed requests. */
  readonly replies: Replies;
  readonly #host: LateHost;
  readonly #recorder: Recorder;
  readonly #stagings = new Set<ArenaStaging>();
  readonly #stepper: Stepper;
  #version: number;
  readonly #roundStepper: RoundStepper;
  readonly events: EventLog;
  #ending: Ending | undefined;
  #isFrozen = false;

  constructor(parts: SessionParts) {
    this.id = parts.id;
    this.createdAt = parts.createdAt;
    this.#spec = parts.spec;
    this.#state = parts.state;
    this.#memory = parts.memory;
    this.#runner = parts.runner;
    this.#version = parts.version;
    this.replies = parts.replies ?? new Replies();
    this.#publisher = new Publisher(parts.memory, parts.state);
    this.#host = new LateHost(parts.records);
    this.#recorder = new Recorder(parts.sequence ?? parts.version, this.#host);
    const { spec: { aggregation }, memory, state, runner } = parts;
    this.events = new EventLog(this.#recorder.sequence, parts.lastEvent);
    this.#stepper = new Stepper({
      session: this,
      spec: parts.spec,
      state,
      runner,
      recorder: this.#recorder,
      latest: parts.steps ?? [],
      changed: () => this.#changed(),
    });
    this.#roundStepper = new RoundStepper({
      session: this,
      host: this.#host,
      state,
      spec: parts.spec,
      now: parts.now,
      recorder: this.#recorder,
      stepper: this.#stepper,
      round: new Round({ state, memory, runner, aggregation }, parts.round ?? 0),
    });
  }

  get durability(): Durability {
    return this.#spec.durability;
  }

  get iterations(): number {
    return this.#state.iterations;
  }

  /** Of the next change. */
  get sequence(): number {
    return this.#recorder.sequence;
  }

  /** Whether the open round has no contributions: snapshots have no place for them. */
  get isQuiet(): boolean {
    return this.#roundStepper.round.contributions.length === 0;
  }

  /** When the open round is due, in milliseconds since 1970; null without a deadline. */
  get deadline(): number | null {
    return this.#roundStepper.round.deadline;
  }

  get version(): number {
    return this.#version;
  }

  get mode(): RunSession["mode"] {
    return this.#spec.aggregation.mode;
  }

  /** Steps that this session has applied, for the service's own figures. */
  get stepCount(): number {
    return this.#stepper.count;
  }

  /** Bytes of variables and slots, and of bodies on their way in. */
  get bytes(): { readonly state: number; readonly staging: number } {
    return {
      state: this.#state.bytes,
      staging: [...this.#stagings].reduce((sum, staging) => sum + staging.bytes, 0),
    };
  }

  describe(): RunDescription {
    const { id, createdAt, version } = this;
    const round = this.#roundStepper.round.number;
    const run = {
      id,
      createdAt,
      version,
      round,
      spec: this.#spec,
      state: this.#state,
      optimizer: this.optimizer(),
    };
    return { ...describeRun(run), ...this.#host.describeStorage() };
  }

  bodyBytesMax(format: "json" | "safetensors"): number {
    const numbers = this.#state.bytes / 4;
    return BODY_SLACK_BYTES + BYTES_PER_NUMBER[format] * numbers;
  }

  publish(names?: readonly string[]): Publication {
    this.#assertOpen();
    return this.#publisher.publish(this.#version, names);
  }

  gather(name: string, indices: readonly number[], { bytesMax }: { readonly bytesMax: number }): NamedTensor {
    this.#assertOpen();
    const rows = rowsToGather(this.#state.variable(name), indices, bytesMax);
    using scratch = this.stage("values");
    return gather(this.#state, rows, { runner: this.#runner, scratch });
  }

  slotNames(): readonly string[] {
    return this.#state.slotNames;
  }

  readSlot(slot: string): readonly NamedTensor[] {
    if (!this.slotNames().includes(slot)) {
      const known = this.slotNames().map((name) => `"${name}"`).join(", ") || "none";
      throw new StepwellError(
        "unknown_slot",
        `Cannot find the slot "${slot}": the optimizer's slots are ${known}`,
      );
    }
    return this.#state.optimized.map((variable) => this.#state.copySlot(variable, slot));
  }

  weights(): { readonly iterations: number | null; readonly tensors: readonly NamedTensor[] } {
    return getWeights(this.#state);
  }

  /** Which optimizer it is: the same for as long as the run lives. */
  get optimizerMember(): OptimizerMember {
    return this.#stepper.optimizer.member;
  }

  optimizer(): Member {
    return getConfig(this.#stepper.optimizer, { hypersCreated: this.#state.hypersCreated });
  }

  steps(limit: number): readonly StepAnswer[] {
    return this.#stepper.latest.slice(-limit).reverse();
  }

  /** Copies of the whole run. */
  checkpoint(): CheckpointCopy {
    this.#assertOpen();
    return checkpointOf(this.#memory, this.#checkpointed(false));
  }

  /** The whole run where it lies, good until the next change, with what it remembers of its answers. */
  liveCheckpoint(): LiveCheckpoint {
    this.#assertOpen();
    return liveCheckpointOf(this.#checkpointed(true));
  }

  #checkpointed(isSnapshot: boolean) {
    return {
      spec: this.#spec,
      optimizer: this.#stepper.optimizer,
      state: this.#state,
      version: this.#version,
      sequence: this.#recorder.sequence,
      round: this.#roundStepper.round.number,
      createdAt: this.createdAt,
      remembered: isSnapshot
        ? rememberedMetadata({
          replies: this.replies,
          steps: this.#stepper.latest,
          // Who has seen contributions that the snapshot has not must look at the run again.
          lastEvent: this.isQuiet ? this.events.last : undefined,
        })
        : {},
    };
  }

  /** Gives the session what it needs from outside: once, for as long as it lives. */
  attach(host: SessionHost): void {
    this.#host.attach(host);
  }

  stage(kind: "gradients" | "values"): ArenaStaging {
    this.#assertOpen();
    const staging = new ArenaStaging({
      kind,
      memory: this.#memory,
      state: this.#state,
      keepsBytes: this.#recorder.keepsChanges,
      released: () => this.#released(staging),
    });
    this.#stagings.add(staging);
    return staging;
  }

  applyGradients(staging: Staging, options: StepOptions): StepAnswer | ContributionAnswer {
    if (this.#spec.aggregation.isPlain || !options.aggregate) return this.step(staging, options);
    return this.#roundStepper.apply(this.#staged(staging, "gradients"), options);
  }

  /** One contribution, one step. */
  step(staging: Staging, options: StepOptions): StepAnswer {
    return this.#stepper.step(this.#staged(staging, "gradients"), options);
  }

  /** A contribution to the open round, which stays open. */
  contribute(staging: Staging, options: StepOptions & { readonly at?: number }): ContributionAnswer {
    return this.#roundStepper.contribute(this.#staged(staging, "gradients"), options);
  }

  /** Ends the open round: in a step, or without effect. Throws out_of_memory, storage_full, storage_failed. */
  endRound(end: RoundEnd): StepAnswer | undefined {
    this.#assertFree();
    return this.#roundStepper.end(end);
  }

  /**
   * Ends the round if it is complete but could not be closed, or if its deadline has passed. Throws what `endRound`
   * throws; then the round is still due.
   */
  endDueRound(): void {
    this.#assertFree();
    this.#roundStepper.endIfDue();
  }

  round(): RoundDescription {
    this.#assertOpen();
    return { ...this.#roundStepper.round.describe(), version: this.#version };
  }

  outcome(round: number): RoundOutcome | undefined {
    return this.#roundStepper.round.outcome(round);
  }

  withdraw(clientId: string): void {
    this.#assertFree();
    this.#roundStepper.withdraw(clientId);
  }

  setVariables(staging: Staging): void {
    const staged = this.#staged(staging, "values");
    if (staged.tensors.size === 0) {
      throw new StepwellError("invalid_request", "Cannot set variables: none is given, must be one or more", [
        { path: "variables", message: "is empty, must name one variable or more" },
      ]);
    }
    const { arena } = this.#state;
    const sequence = this.#recorder.record(() => stagedChange(this.#state, staged));
    for (const { variable, values, count } of staged.tensors.values()) {
      this.#state.values(variable).set(arena.f32(values, count));
    }
    this.#changed();
    this.#tell(sequence, "variables");
  }

  #tell(sequence: number, changed: "variables" | "weights" | "optimizer"): void {
    this.events.add(sequence, "run_changed", {
      changed,
      iterations: this.iterations,
      version: this.#version,
    });
  }

  setWeights(weights: readonly unknown[]): void {
    this.#assertFree();
    const rule = ruleOf(this.#stepper.optimizer);
    let sequence = 0;
    const changed = setWeights(this.#state, weights, {
      member: this.#stepper.optimizer.member,
      rule,
      record: (iterations, rest) => sequence = this.#recorder.record(() => weightsChange(iterations, rest)),
    });
    if (!changed) return;
    this.#changed();
    this.#tell(sequence, "weights");
  }

  patchOptimizer(
    config: Readonly<Record<string, unknown>>,
  ): Member & { readonly warnings: readonly string[] } {
    this.#assertFree();
    const { optimizer, warnings } = overwrite(this.#stepper.optimizer, config, {
      hypersCreated: this.#state.hypersCreated,
    });
    using added = this.#state.addSlots(ruleOf(optimizer));
    const sequence = this.#recorder.record(() => optimizerChange(config));
    added.move();
    this.#stepper.optimizer = optimizer;
    this.#changed();
    this.#tell(sequence, "optimizer");
    return { ...this.optimizer(), warnings };
  }

  /** The run is gone: its memory is free once the last body on its way in is. */
  close(ending: Ending = "deleted"): void {
    if (this.#ending) return;
    this.#ending = ending;
    this.#host.deadlineChanged(null);
    this.#publisher.invalidate();
    this.#roundStepper.round.release();
    if (this.#stagings.size === 0) this.#state.release();
    this.events.close();
  }

  /** Refuses changes until it is released. Throws busy when they are refused already. */
  freeze(): Releasable {
    this.#assertFree();
    this.#isFrozen = true;
    return releasable(() => void (this.#isFrozen = false));
  }

  #assertFree(): void {
    this.#assertOpen();
    if (!this.#isFrozen) return;
    throw new StepwellError("busy", `Cannot change the run "${this.id}": a checkpoint is taking its place`);
  }

  /** Whether a body is on its way in. */
  get isReceiving(): boolean {
    return this.#stagings.size > 0;
  }

  #released(staging: ArenaStaging): void {
    this.#stagings.delete(staging);
    if (this.#ending && this.#stagings.size === 0) this.#state.release();
  }

  #assertOpen(): void {
    if (this.#ending) throw endedError(this.id, this.#ending);
  }

  #changed(): void {
    this.#version += 1;
    this.#publisher.invalidate();
  }

  #staged(staging: Staging, kind: "gradients" | "values"): ArenaStaging {
    this.#assertFree();
    if (!(staging instanceof ArenaStaging) || !this.#stagings.has(staging) || staging.kind !== kind) {
      throw new Error(`Staging for ${kind} of run ${this.id} is not one of its own`);
    }
    if (!staging.complete) throw new Error("Staging holds tensors that have not come in whole");
    return staging;
  }
}
