/** Uploads and downloads of whole runs as safetensors files. */
import type { Releasable } from "../../releasable.ts";
import type { TensorTarget, WholeBody } from "../../tensor.ts";
import type { RunDescription } from "./run_description.ts";
import type { RunSession } from "./run_session.ts";
import type { ChangeAnswer, KeyUse } from "./steps.ts";

/** An upload of a checkpoint: read the header, write the tensors, then call `commit`. */
export interface Restoration extends Releasable {
  /** The run's present version, for preconditions; undefined if there is no run. Throws what `open` throws. */
  current(): Promise<{ readonly version: number } | undefined>;
  /**
   * Reads a file's header that the service wrote, in pieces: the file as a whole. Undefined for any other, and throws as
   * `begin`, which is then to be called.
   */
  recall(header: Uint8Array): Generator<number, WholeBody | undefined>;
  /** In pieces. Throws if the metadata does not describe a run, or describes one that this service cannot hold. */
  begin(metadata: ReadonlyMap<string, string>): Generator<number, TensorTarget>;
  /** Finds the answer to an earlier restore with this key, in the run that `current` gave last. Throws key_reused if that request was a different one. */
  earlier(use: KeyUse): ChangeAnswer | undefined;
  /**
   * Replaces or creates the run, and resolves when it is on disk. With a key, the answer is kept by the run. Throws
   * for a missing tensor, storage_full, storage_failed.
   */
  commit(key?: KeyUse): Promise<{
    readonly session: RunSession;
    /** The run as the checkpoint made it. */
    readonly description: RunDescription;
    readonly created: boolean;
  }>;
}

/** A download of a whole run as a safetensors file. */
export interface CheckpointFile extends Releasable {
  readonly version: number;
  readonly byteLength: number;
  /** Must be read to its end or cancelled, unless the file is released. */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | Uint8Array<ArrayBuffer>;
}

export interface Checkpoint {
  readonly version: number;
  /** Undefined if the caller already knows the version. */
  readonly file: CheckpointFile | undefined;
}
