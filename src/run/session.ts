/**
 * One open run: validates everything, then changes state in one synchronous turn.
 *
 * Invariants: a method that throws has changed nothing. Turns cannot interleave, because none of them awaits; a
 * reader gets copies of one version. `version` counts every change of state, `iterations` the applied steps.
 */
import { type Runner } from "../../kernels/plan.ts";
import { StepwellError } from "../errors.ts";
import { overwrite } from "../families/optimizers/attributes.ts";
import { getConfig, type Optimizer, ruleOf } from "../families/optimizers/optimizer.ts";
import type { NamedTensor } from "../tensor.ts";
import type {
  Member,
  Publication,
  RunDescription,
  RunSession,
  Staging,
  StepAnswer,
  StepOptions,
} from "./api.ts";
import { type Change, optimizerChange, stagedChange, weightsChange } from "./changes.ts";
import { checkpointOf, type LiveCheckpoint, liveCheckpointOf } from "./checkpoint.ts";
import { checkContribution, checkFinite } from "./contribution.ts";
import { gather, rowsToGather } from "./gather.ts";
import { perform } from "./instruction.ts";
import type { Memory } from "./memory.ts";
import { forOneStep } from "./one_step.ts";
import { Publisher } from "./publication.ts";
import { Replies } from "./replies.ts";
import { type Durability, type ResolvedSpec, serializeSpec } from "./spec.ts";
import { ArenaStaging } from "./staging.ts";
import type { RunState } from "./state.ts";
import { planStep, type StepPlan } from "./step.ts";
import { getWeights, setWeights } from "./weights.ts";

/** Applied steps that a run remembers. */
const STEPS_MAX = 64;
/** A body may be this much larger than the numbers in it: names, metadata, white space. */
const BODY_SLACK_BYTES = 1024 ** 2;
/** Bytes a number may take: float64 with repeated rows; a nested JSON number with its indentation. */
const BYTES_PER_NUMBER = { safetensors: 16, json: 40 } as const;

export interface SessionParts {
  readonly id: string;
  readonly spec: ResolvedSpec;
  readonly state: RunState;
  readonly memory: Memory;
  readonly run: Runner;
  readonly createdAt: string;
  readonly version: number;
  readonly replies?: Replies;
}

type StorageDescription = Pick<RunDescription, "journal_bytes" | "snapshot_version">;

/** Who is told of changes before they are made. */
export interface ChangeLog {
  changing(): void;
  /** Writes the change down; not there where changes are not kept. What it throws refuses the change. */
  append?(kind: number, payload: readonly Uint8Array[]): void;
}

export class Session implements RunSession {
  readonly id: string;
  readonly createdAt: string;
  readonly #spec: ResolvedSpec;
  readonly #state: RunState;
  readonly #memory: Memory;
  readonly #run: Runner;
  readonly #publisher: Publisher;
  /** The answers to keyed requests. */
  readonly replies: Replies;
  #log: ChangeLog | undefined;
  readonly #stagings = new Set<ArenaStaging>();
  readonly #steps: StepAnswer[] = [];
  #stepCount = 0;
  #optimizer: Optimizer;
  #version: number;
  #closed = false;
  #held = false;

  constructor(parts: SessionParts) {
    this.id = parts.id;
    this.createdAt = parts.createdAt;
    this.#spec = parts.spec;
    this.#state = parts.state;
    this.#memory = parts.memory;
    this.#run = parts.run;
    this.#version = parts.version;
    this.#optimizer = parts.spec.optimizer;
    this.replies = parts.replies ?? new Replies();
    this.#publisher = new Publisher(parts.memory, parts.state);
  }

  get durability(): Durability {
    return this.#spec.durability;
  }

  /** What whoever stores this run has to say of it. */
  describeStorage = (): StorageDescription => ({ journal_bytes: 0, snapshot_version: null });

  get iterations(): number {
    return this.#state.iterations;
  }

  get version(): number {
    return this.#version;
  }

  /** Steps that this session has applied, for the service's own figures. */
  get stepCount(): number {
    return this.#stepCount;
  }

  /** Bytes of variables and slots, and of bodies on their way in. */
  get bytes(): { readonly state: number; readonly staging: number } {
    return {
      state: this.#state.bytes,
      staging: [...this.#stagings].reduce((sum, staging) => sum + staging.bytes, 0),
    };
  }

  describe(): RunDescription {
    const variables = [...this.#state.variables.values()];
    const spec = serializeSpec(this.#spec, this.optimizer());
    return {
      id: this.id,
      iterations: this.iterations,
      version: this.#version,
      created_at: this.createdAt,
      optimizer: this.optimizer(),
      variables: variables.map(({ name, shape, constraint }) => ({
        name,
        shape,
        dtype: "float32",
        constraint: constraint?.member ?? null,
      })),
      slots: this.slotNames(),
      parameters: variables.reduce((sum, { count }) => sum + count, 0),
      bytes: this.#state.bytes,
      aggregation: { mode: "immediate", aggregator: this.#spec.aggregator },
      gradient_transformers: spec.gradient_transformers as readonly Member[],
      non_finite: this.#spec.nonFinite,
      durability: this.durability,
      ...this.describeStorage(),
      warnings: this.#spec.warnings,
    };
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
    const scratch = this.stage("values");
    try {
      return gather(this.#state, rows, { run: this.#run, scratch });
    } finally {
      scratch.release();
    }
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
    return [...this.#state.variables.values()].map((variable) => this.#state.copySlot(variable, slot));
  }

  weights(): { readonly iterations: number | null; readonly tensors: readonly NamedTensor[] } {
    return getWeights(this.#state);
  }

  optimizer(): Member {
    return getConfig(this.#optimizer, { hypersCreated: this.#state.hypersCreated });
  }

  steps(limit: number): readonly StepAnswer[] {
    return this.#steps.slice(-limit).reverse();
  }

  /** Copies of the whole run. */
  checkpoint(): Publication & { readonly metadata: Readonly<Record<string, string>> } {
    this.#assertOpen();
    return checkpointOf(this.#memory, this.#checkpointed(false));
  }

  /** The whole run where it lies, good until the next change, with the answers to keyed requests. */
  liveCheckpoint(): LiveCheckpoint {
    this.#assertOpen();
    return liveCheckpointOf(this.#checkpointed(true));
  }

  #checkpointed(replies: boolean) {
    return {
      spec: this.#spec,
      optimizer: this.#optimizer,
      state: this.#state,
      version: this.#version,
      createdAt: this.createdAt,
      replies: replies ? this.replies.all : [],
    };
  }

  /** From now on the log is told of every change before it is made. */
  attach(log: ChangeLog): void {
    this.#log = log;
  }

  #record(change: () => Change): void {
    this.#log?.changing();
    if (!this.#log?.append) return;
    const { kind, payload } = change();
    this.#log.append(kind, payload);
  }

  stage(kind: "gradients" | "values"): ArenaStaging {
    this.#assertOpen();
    const staging = new ArenaStaging({
      kind,
      memory: this.#memory,
      state: this.#state,
      keepsBytes: this.#log?.append !== undefined,
      released: () => this.#released(staging),
    });
    this.#stagings.add(staging);
    return staging;
  }

  applyGradients(staging: Staging, options: StepOptions): StepAnswer {
    const staged = this.#staged(staging, "gradients");
    const absent = checkContribution(this.#state, staged, options);
    const stepping = forOneStep(this.#optimizer, options.hyperparameters, this.#state);
    const skipped = checkFinite(this.#state, staged, this.#spec.nonFinite);
    const warnings = [...absent, ...stepping.warnings, ...skipped];
    const plan = planStep({
      state: this.#state,
      spec: this.#spec,
      optimizer: stepping.optimizer,
      staging: staged,
      run: this.#run,
    });
    if (skipped.length > 0 || options.dryRun) return this.#figures(plan, { applied: false, warnings });

    this.#record(() => stagedChange(this.#state, staged, { ...options }));
    perform(this.#state, plan.instructions, this.#run);
    this.#state.createSlots(plan.rule, [...staged.tensors.values()].map(({ variable }) => variable));
    this.#state.hypersCreated = true;
    this.#state.scalars = plan.scalars;
    this.#state.iterations += 1;
    this.#stepCount += 1;
    this.#changed();
    const answer = this.#figures(plan, { applied: true, warnings });
    this.#steps.push(answer);
    if (this.#steps.length > STEPS_MAX) this.#steps.shift();
    if (options.key) this.replies.add(options.key, answer);
    return answer;
  }

  setVariables(staging: Staging): void {
    const staged = this.#staged(staging, "values");
    if (staged.tensors.size === 0) {
      throw new StepwellError("invalid_request", "Cannot set variables: none is given, must be one or more", [
        { path: "variables", message: "is empty, must name one variable or more" },
      ]);
    }
    const { arena } = this.#state;
    this.#record(() => stagedChange(this.#state, staged));
    for (const { variable, values, count } of staged.tensors.values()) {
      this.#state.values(variable).set(arena.f32(values, count));
    }
    this.#changed();
  }

  setWeights(weights: readonly unknown[]): void {
    this.#assertFree();
    const rule = ruleOf(this.#optimizer);
    const changed = setWeights(this.#state, weights, {
      member: this.#optimizer.member,
      rule,
      record: (iterations, rest) => this.#record(() => weightsChange(iterations, rest)),
    });
    if (changed) this.#changed();
  }

  patchOptimizer(
    config: Readonly<Record<string, unknown>>,
  ): Member & { readonly warnings: readonly string[] } {
    this.#assertFree();
    const { optimizer, warnings } = overwrite(this.#optimizer, config, {
      hypersCreated: this.#state.hypersCreated,
    });
    const undo = this.#state.addSlots(ruleOf(optimizer));
    try {
      this.#record(() => optimizerChange(config));
    } catch (error) {
      undo();
      throw error;
    }
    this.#optimizer = optimizer;
    this.#changed();
    return { ...this.optimizer(), warnings };
  }

  /** The run is gone: its memory is free once the last body on its way in is. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#publisher.invalidate();
    if (this.#stagings.size === 0) this.#state.free();
  }

  /** Refuses changes until the answer is called. Throws busy when it is held already. */
  hold(): () => void {
    this.#assertFree();
    this.#held = true;
    return () => this.#held = false;
  }

  #assertFree(): void {
    this.#assertOpen();
    if (!this.#held) return;
    throw new StepwellError("busy", `Cannot change the run "${this.id}": a checkpoint is taking its place`);
  }

  /** Whether a body is on its way in. */
  get isReceiving(): boolean {
    return this.#stagings.size > 0;
  }

  #released(staging: ArenaStaging): void {
    this.#stagings.delete(staging);
    if (this.#closed && this.#stagings.size === 0) this.#state.free();
  }

  #assertOpen(): void {
    if (this.#closed) {
      throw new StepwellError("unknown_run", `Cannot find the run "${this.id}": it was deleted or replaced`);
    }
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

  #figures(
    plan: StepPlan,
    { applied, warnings }: { applied: boolean; warnings: readonly string[] },
  ): StepAnswer {
    return {
      applied,
      iterations: this.iterations,
      version: this.#version,
      learning_rate: plan.learningRate,
      gradient_norm: plan.gradientNorm,
      clip_factor: plan.clipFactor,
      contributions: 1,
      variables: Object.fromEntries(
        [...plan.variableNorms].map(([name, gradient_norm]) => [name, { gradient_norm }]),
      ),
      warnings,
    };
  }
}
