/**
 * A whole run as the tensors and metadata of a safetensors file (checkpoint_format.ts): views of its memory, or
 * copies.
 *
 * It writes no files. Invariant: a restored run computes the same bits as the saved one.
 */
import type { z } from "zod";
import { serialize } from "../../families/mechanism/family.ts";
import type { Optimizer } from "../../families/optimizers/optimizer.ts";
import { saveOptimizer } from "../../families/optimizers/saved.ts";
import type { Shape } from "../../tensor.ts";
import { exactJson } from "../../wire/exact_json.ts";
import { nest } from "../../wire/nested_numbers.ts";
import type { RunDescription } from "../api/run_description.ts";
import type { Publication } from "../api/run_session.ts";
import { FORMAT_VERSION, type Saved, slotTensor, variableTensor } from "./checkpoint_format.ts";
import type { Memory } from "../tensors/memory.ts";
import { type ResolvedSpec, serializeSpec } from "../spec/spec.ts";
import { copySlot, copyVariables } from "../tensors/copies.ts";
import type { CreatedSlot, RunState } from "../tensors/state.ts";

interface Checkpointed {
  readonly spec: ResolvedSpec;
  readonly optimizer: Optimizer;
  readonly state: RunState;
  readonly version: number;
  readonly sequence: number;
  readonly round: number;
  readonly createdAt: string;
  /** Further metadata to save with the state. */
  readonly remembered: Readonly<Record<string, string>>;
}

/** A run's tensors as views of its memory. */
export interface LiveCheckpoint {
  readonly version: number;
  /** Sequence number of the next change. */
  readonly sequence: number;
  readonly metadata: Readonly<Record<string, string>>;
  /** Count of the tensors. */
  readonly size: number;
  tensors(): readonly LiveTensor[];
}

/** The result of `view` must be used at once, because memory that grows detaches its views. */
export interface LiveTensor {
  readonly name: string;
  readonly shape: Shape;
  view(): Float32Array<ArrayBuffer>;
}

/** Copies of a run's tensors, counted until released. */
export type CheckpointCopy = Publication & { readonly metadata: Readonly<Record<string, string>> };

/** A source of checkpoints of one run: a session. */
export interface CheckpointSource {
  liveCheckpoint(): LiveCheckpoint;
  /** The tensors of a live checkpoint. */
  liveTensors(): readonly LiveTensor[];
  /** Throws out_of_memory. */
  checkpoint(): CheckpointCopy;
  describe(): RunDescription;
}

/** Copies nothing: the checkpoint is valid until the run changes. */
export function liveCheckpointOf(
  { spec, optimizer, state, version, sequence, round, createdAt, remembered }: Checkpointed,
): LiveCheckpoint {
  const saved: Omit<z.input<typeof Saved>, "created" | "spec"> = {
    format_version: FORMAT_VERSION,
    created_at: createdAt,
    version,
    sequence,
    round,
    iterations: state.iterations,
    hypers_created: state.hypersCreated,
    ...typeof spec.aggregation.clientClipnorm === "object" && state.clipNorm !== null &&
      { clip_norm: state.clipNorm },
    scalars: Object.fromEntries(
      Object.entries(state.scalars).map(([name, value]) => [name, nest(Float32Array.of(value), [])]),
    ),
    slots: [...state.slotNames],
    optimizer: saveOptimizer(optimizer),
    ...optimizer.member.definition && { definition: optimizer.member.definition },
  };
  return {
    version,
    sequence,
    size: state.variables.size + state.optimized.length * state.slotNames.length,
    tensors: () => liveTensorsOf(state),
    metadata: {
      format: "stepwell",
      stepwell: `${exactJson(saved).slice(0, -1)},"created":${createdJson(state.created)},"spec":${
        specJson(spec, optimizer)
      }}`,
      ...remembered,
    },
  };
}

export function liveTensorsOf(state: RunState): readonly LiveTensor[] {
  return [
    ...state.variables.values().map((variable) => ({
      name: variableTensor(variable.name),
      shape: variable.shape,
      view: () => state.values(variable),
    })),
    ...state.slotNames.flatMap((slot) =>
      state.optimized.map((variable) => ({
        name: slotTensor(slot, variable.name),
        shape: variable.shape,
        view: () => state.slotValues(variable, slot),
      }))
    ),
  ];
}

/** As JSON of `Saved`. The lists of a run with many variables are long, so no object is made for each element. */
function createdJson(created: readonly CreatedSlot[]): string {
  return `[${
    created.map(({ variable: { name }, slot }) =>
      `{"variable":${JSON.stringify(name)},"slot":${JSON.stringify(slot)}}`
    ).join()
  }]`;
}

function specJson(spec: ResolvedSpec, { member }: Optimizer): string {
  const { variables: _, ...rest } = serializeSpec(
    { ...spec, variables: [] },
    serialize({ member, config: {} }),
  );
  const variables = spec.variables.map(({ name, shape, constraint, role }) => {
    const own = constraint ? `,"constraint":${exactJson(constraint.member)}` : "";
    return `{"name":${JSON.stringify(name)},"shape":[${shape.join()}]${own}${
      role === "average" ? ',"role":"average"' : ""
    }}`;
  });
  return `${exactJson(rest).slice(0, -1)},"variables":[${variables.join()}]}`;
}

/** Copies everything. The copies count against the memory bound until released. Throws out_of_memory. */
export function checkpointOf(memory: Memory, checkpointed: Checkpointed): CheckpointCopy {
  const { state, state: { bytes, iterations, slotNames } } = checkpointed;
  const counted = memory.publish(bytes);
  const { version, metadata } = liveCheckpointOf(checkpointed);
  const slots = slotNames.map((slot) => [slot, copySlot(state, slot)] as const),
    values = copyVariables(state);
  return {
    ...counted,
    iterations,
    version,
    tensors: [
      ...state.variables.values().map((variable) => values(variable, variableTensor(variable.name))),
      ...slots.flatMap(([slot, copyOf]) =>
        state.optimized.map((variable) => copyOf(variable, slotTensor(slot, variable.name)))
      ),
    ],
    metadata,
  };
}
