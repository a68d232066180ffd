/** Whole runs on their way in and out, as safetensors files. */
import type { Releasable } from "../../releasable.ts";
import type { TensorTarget } from "../../tensor.ts";
import type { RunDescription } from "./run_description.ts";
import type { RunSession } from "./run_session.ts";

/** A checkpoint on its way in: `begin` once with the file's metadata, then the tensors, then `commit`. */
export interface Restoration extends Releasable {
  /** The run that is there now, as far as preconditions are concerned; undefined when there is none. Throws as `get`. */
  current(): { readonly version: number } | undefined;
  /** Throws when the metadata describes no run that can be held here. */
  begin(metadata: ReadonlyMap<string, string>): TensorTarget;
  /** The turn, on disk when it resolves. Throws when a tensor is missing, and storage_full or storage_failed. */
  commit(): Promise<{
    readonly session: RunSession;
    /** The run as the checkpoint made it. */
    readonly description: RunDescription;
    readonly created: boolean;
  }>;
}

/** A whole run as a safetensors file on its way out. */
export interface CheckpointFile extends Releasable {
  readonly version: number;
  readonly byteLength: number;
  /** To be read to its end or cancelled, or the file to be released. */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | Uint8Array<ArrayBuffer>;
}

export interface Checkpoint {
  readonly version: number;
  /** Undefined where the version is known already. */
  readonly file: CheckpointFile | undefined;
}
