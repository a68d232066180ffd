/** The queries of a run, which change nothing. Tensors are copies, except those of a live checkpoint. */
import { StepwellError } from "../../errors.ts";
import type { Runner } from "../../../kernels/compiler/runner.ts";
import { getConfig, type Optimizer } from "../../families/optimizers/optimizer.ts";
import { optimizerJson } from "../../families/optimizers/optimizer_json.ts";
import type { NamedTensor } from "../../tensor.ts";
import type { EventLog } from "../answers/events.ts";
import { rememberedMetadata } from "../answers/remembered.ts";
import type { Replies } from "../answers/replies.ts";
import type { Member, RunDescription } from "../api/run_description.ts";
import type { Publication } from "../api/run_session.ts";
import type { StepAnswer } from "../api/steps.ts";
import {
  type CheckpointCopy,
  checkpointOf,
  type LiveCheckpoint,
  liveCheckpointOf,
} from "../checkpoint/checkpoint.ts";
import type { Round } from "../rounds/round.ts";
import { DEFAULT_GROUP, describeGroups, groupAt } from "../spec/groups.ts";
import type { ResolvedSpec } from "../spec/spec.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import { BodyLimits } from "../tensors/body_limits.ts";
import { copySlot } from "../tensors/copies.ts";
import { gather, rowsToGather } from "../tensors/gather.ts";
import type { Memory } from "../tensors/memory.ts";
import { Publisher } from "../tensors/publication.ts";
import type { RunState } from "../tensors/state.ts";
import { describeRun } from "./describe.ts";
import type { Stepper } from "./stepper.ts";

interface ReaderParts {
  readonly session: {
    readonly id: string;
    readonly createdAt: string;
    readonly version: number;
    /** Sequence number of the next change. */
    readonly sequence: number;
    readonly isQuiet: boolean;
    readonly events: EventLog;
    readonly replies: Replies;
    stage(kind: "values"): ArenaStaging;
  };
  readonly spec: ResolvedSpec;
  readonly state: RunState;
  readonly memory: Memory;
  readonly runner: Runner;
  /** Holds the optimizer and the latest steps. */
  readonly stepper: Stepper;
  readonly round: Round;
}

export class Reader {
  readonly #parts: ReaderParts;
  readonly #publisher: Publisher;
  readonly limits: BodyLimits;

  constructor(parts: ReaderParts) {
    this.#parts = parts;
    this.#publisher = new Publisher(parts.memory, parts.state);
    this.limits = new BodyLimits(parts.state);
  }

  /** Describes everything except storage. */
  describe(): Omit<RunDescription, "journal_bytes" | "snapshot_version"> {
    const { session: { id, createdAt, version }, spec, state, stepper, round } = this.#parts;
    return describeRun({
      id,
      createdAt,
      version,
      round: round.number,
      spec,
      state,
      optimizer: optimizerJson(stepper.optimizers[0], { hypersCreated: state.hypersCreated }),
      groups: describeGroups(stepper.groups, stepper.optimizers, { hypersCreated: state.hypersCreated }),
    });
  }

  layingOut(): Generator<number, unknown> {
    return this.#publisher.layingOut();
  }

  publish(names?: readonly string[]): Publication {
    return this.#publisher.publish(this.#parts.session.version, names);
  }

  /** Called after a change: present readers keep their copies, the next reader gets new ones. */
  invalidate(): void {
    this.#publisher.invalidate();
  }

  gather(
    name: string,
    indices: readonly number[] | Int32Array,
    { bytesMax }: { readonly bytesMax: number },
  ): NamedTensor {
    const { session, state, runner } = this.#parts;
    const rows = rowsToGather(state.variable(name), indices, bytesMax);
    using scratch = session.stage("values");
    return gather(state, rows, { runner, scratch });
  }

  readSlot(slot: string): readonly NamedTensor[] {
    const { state } = this.#parts, { slotNames } = state;
    if (!slotNames.includes(slot)) {
      const known = slotNames.map((name) => `"${name}"`).join(", ") || "none";
      throw new StepwellError(
        "unknown_slot",
        `Cannot find the slot "${slot}": the optimizer's slots are ${known}`,
      );
    }
    const copyOf = copySlot(state, slot);
    return state.having(slot).map((variable) => copyOf(variable, variable.name));
  }

  /** Throws unknown_group. */
  optimizer(group = DEFAULT_GROUP): Member {
    const { state, stepper } = this.#parts;
    const at = groupAt(stepper.groups, group);
    return getConfig(stepper.optimizers[at] as Optimizer, { hypersCreated: state.hypersCreated });
  }

  /** The latest steps, newest first. */
  steps(limit: number): readonly StepAnswer[] {
    return this.#parts.stepper.latest.slice(-limit).reverse();
  }

  checkpoint(): CheckpointCopy {
    return checkpointOf(this.#parts.memory, this.#checkpointed({}));
  }

  /** Includes what the run remembers of its answers. */
  liveCheckpoint(): LiveCheckpoint {
    const { session: { replies, isQuiet, events }, stepper } = this.#parts;
    return liveCheckpointOf(this.#checkpointed(rememberedMetadata({
      replies,
      steps: stepper.latest,
      // A snapshot lacks the open round. Readers that saw its contributions must be told that events are missing.
      lastEvent: isQuiet ? events.last : undefined,
    })));
  }

  #checkpointed(remembered: Readonly<Record<string, string>>) {
    const { session: { version, sequence, createdAt }, spec, state, stepper: { optimizers, groups }, round } =
      this.#parts;
    return {
      spec,
      optimizers,
      groups,
      state,
      version,
      sequence,
      round: round.number,
      createdAt,
      remembered,
    };
  }
}
