/**
 * Opens downloads of checkpoints: from the newest snapshot, which is written first if it is out of date, or from
 * copies if there is no snapshot or copies cost less.
 *
 * Invariant: the file has every change that was acknowledged when the download was requested.
 */
import { SnapshotDamage } from "../../store/snapshot_reader.ts";
import { StepwellError } from "../../errors.ts";
import type { Checkpoint, CheckpointFile } from "../api/checkpoints.ts";
import { copiedFile, savedFile } from "../checkpoint/checkpoint_file.ts";
import type { RunEntry } from "./run_entry.ts";
import type { RunTable } from "./run_table.ts";
import type { BackgroundFailure, Evictor } from "./evictor.ts";

/** A run in memory of up to this size is copied: that takes a few milliseconds and no flush. */
const COPIED_BYTES_MAX = 8 * 1024 ** 2;
/** The same of its variables: their names and places are written too. */
const COPIED_VARIABLES_MAX = 5000;

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
   * The run's present or a later state; no file if `isKnown` returns true for its version. Throws unknown_run,
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
    // This reads the run again if a failure has left it unknown which changes are on disk.
    const session = await table.open(id);
    if (isKnown(session.version)) return { version: session.version, file: undefined };
    const isLarge = entry.store !== undefined &&
      (session.bytes.state > COPIED_BYTES_MAX || session.variableCount > COPIED_VARIABLES_MAX);
    const file = isLarge ? await this.#savedNow(id, session.sequence) : undefined;
    const sent = file ?? await copiedFile(await table.open(id));
    return { version: sent.version, file: sent };
  }

  /** Saves a run in memory and opens its file; undefined if the disk does not get all changes before `wanted`. */
  async #savedNow(id: string, wanted: number): Promise<CheckpointFile | undefined> {
    const { table, evictor, onFailure } = this.#parts;
    try {
      await evictor.save(table.find(id));
      // The id may name another run by now.
      const entry = table.find(id);
      return (entry.store?.newest?.sequence ?? -1) >= wanted ? await this.#saved(entry) : undefined;
    } catch (error) {
      const isGone = error instanceof StepwellError && error.code === "unknown_run";
      if (!isGone) onFailure({ run: id, error });
      // The state in memory can be copied without the disk.
      return undefined;
    }
  }

  /** Opens the newest snapshot; undefined if it is damaged, or if a run that is not in memory has later changes. */
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
