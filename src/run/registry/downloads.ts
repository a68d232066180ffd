/**
 * Which file a checkpoint is sent from: the newest snapshot, where it is the run as it is, after it was written if need
 * be; copies where there is none, or where they cost less than a snapshot.
 *
 * Invariant: the file has every change that was acknowledged when it was asked for.
 */
import { SnapshotDamage } from "../../store/snapshot_reader.ts";
import { StepwellError } from "../../errors.ts";
import type { Checkpoint, CheckpointFile } from "../api/checkpoints.ts";
import { copiedFile, savedFile } from "../checkpoint/checkpoint_file.ts";
import type { RunEntry, RunTable } from "./run_table.ts";
import type { BackgroundFailure, Evictor } from "./evictor.ts";

/** A run in memory of so few bytes is copied: that takes some milliseconds, and flushes nothing. */
const COPIED_BYTES_MAX = 8 * 1024 ** 2;

interface DownloadsParts {
  readonly table: RunTable;
  readonly evictor: Evictor;
  readonly onFailure: (failure: BackgroundFailure) => void;
}

export class Downloads {
  readonly #parts: DownloadsParts;

  constructor(parts: DownloadsParts) {
    this.#parts = parts;
  }

  /**
   * The run as it is now, or later; no file when `isKnown` says that this version is not wanted. Throws unknown_run,
   * run_damaged, out_of_memory, storage_failed.
   */
  async open(id: string, isKnown: (version: number) => boolean): Promise<Checkpoint> {
    const { table } = this.#parts;
    const entry = table.find(id);
    if (!entry.session) {
      const file = await this.#saved(entry);
      if (file && isKnown(file.version)) file.release();
      if (file) return { version: file.version, file: isKnown(file.version) ? undefined : file };
    }
    // Read anew if nobody knows what of it is on disk.
    const session = table.get(id);
    if (isKnown(session.version)) return { version: session.version, file: undefined };
    const isLarge = entry.store !== undefined && session.bytes.state > COPIED_BYTES_MAX;
    const file = isLarge ? await this.#savedNow(id, session.sequence) : undefined;
    const sent = file ?? copiedFile(table.get(id));
    return { version: sent.version, file: sent };
  }

  /** The file of a run in memory; undefined where the disk has none of all changes before `wanted`. */
  async #savedNow(id: string, wanted: number): Promise<CheckpointFile | undefined> {
    const { table, evictor, onFailure } = this.#parts;
    try {
      await evictor.save(table.find(id));
      // It may be another one by now.
      const entry = table.find(id);
      return (entry.store?.newest?.sequence ?? -1) >= wanted ? await this.#saved(entry) : undefined;
    } catch (error) {
      const isGone = error instanceof StepwellError && error.code === "unknown_run";
      if (!isGone) onFailure({ run: id, error });
      // What is in memory can be read without a disk.
      return undefined;
    }
  }

  /** The newest snapshot; undefined when it is damaged, or not all that there is of a run that is not open. */
  async #saved({ id, session, store }: RunEntry): Promise<CheckpointFile | undefined> {
    const snapshot = store?.newestSnapshot;
    if (!store || !snapshot || !session && !store.isUnchanged) return undefined;
    const onDamage = (error: SnapshotDamage) => {
      store.distrust(snapshot);
      this.#parts.onFailure({ run: id, error });
    };
    try {
      return await savedFile(store.openSnapshot(snapshot), onDamage);
    } catch (error) {
      if (!(error instanceof SnapshotDamage)) throw error;
      onDamage(error);
      return undefined;
    }
  }
}
