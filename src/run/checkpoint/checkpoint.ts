/**
 * A whole run as the tensors and metadata of a safetensors file (checkpoint_format.ts): views of its memory, or
 * copies.
 *
 * It writes no files. Invariant: a restored run computes the same bits as the saved one.
 */
import type { RunDescription } from "../api/run_description.ts";
import type { Publication } from "../api/run_session.ts";
import type { Memory } from "../tensors/memory.ts";
import { copySlot, copyVariables } from "../tensors/copies.ts";
import type { RunState } from "../tensors/state.ts";
import { slotTensor, variableTensor } from "./checkpoint_format.ts";
import { type Checkpointed, type SavedText, savedText } from "./saved_text.ts";

/** A run as it lies in its memory: valid until it changes. */
export interface LiveCheckpoint {
  readonly version: number;
  /** Sequence number of the next change. */
  readonly sequence: number;
  readonly state: RunState;
  /** Metadata of the file, besides its format: under the key `stepwell`, and all others. */
  readonly saved: SavedText;
  readonly remembered: Readonly<Record<string, string>>;
  /** All of them. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Copies of a run's tensors, counted until released. */
export type CheckpointCopy = Publication & { readonly metadata: Readonly<Record<string, string>> };

/** A source of checkpoints of one run: a session. */
export interface CheckpointSource {
  liveCheckpoint(): LiveCheckpoint;
  /** Throws out_of_memory. */
  checkpoint(): CheckpointCopy;
  describe(): RunDescription;
}

/** Copies nothing: the checkpoint is valid until the run changes. */
export function liveCheckpointOf(checkpointed: Checkpointed): LiveCheckpoint {
  const { state, version, sequence, remembered } = checkpointed;
  const saved = savedText(checkpointed);
  return {
    version,
    sequence,
    state,
    saved,
    get metadata() {
      return { format: "stepwell", stepwell: [saved.head, ...saved.tail()].join(""), ...remembered };
    },
    remembered,
  };
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
        state.having(slot).map((variable) => copyOf(variable, slotTensor(slot, variable.name)))
      ),
    ],
    metadata,
  };
}
