/**
 * The deletion of one run. A mark in its folder decides, whatever becomes of the rest. A mark that was refused may be
 * on the disk all the same: until it is known to be gone, nothing of the run may be acknowledged, since the next start
 * would remove it.
 */
import type { Files } from "./files.ts";
import type { ConfigStore, RunRecord } from "./kv.ts";
import { mark, removeMarked, unmark } from "./marks.ts";
import type { Room } from "./room.ts";
import { storageError } from "./storage_error.ts";

export interface DeletionParts {
  readonly files: Files;
  readonly room: Room;
  readonly configs: ConfigStore;
}

export class Deletion {
  readonly #parts: DeletionParts;
  readonly #folder: string;
  #mayBeMarked = false;

  constructor(parts: DeletionParts, folder: string) {
    this.#parts = parts;
    this.#folder = folder;
  }

  /**
   * Removes the run for good; `leave` gives its files back. Throws storage_full and storage_failed when the mark cannot
   * be made; then the run is as it was.
   */
  async remove(record: RunRecord, leave: () => Promise<void>): Promise<void> {
    const { room, configs } = this.#parts;
    await room.withReserve(() => this.#mark());
    let isTold = true;
    try {
      await room.withReserve(() => configs.remove(record));
    } catch {
      // It is told at the next start, by the mark.
      isTold = false;
    }
    await leave();
    if (isTold) await this.#removeFolder();
    await room.restore();
  }

  /** Removes what is left of a run that another incarnation has taken the place of, which its own file says. */
  async discard(record: RunRecord, leave: () => Promise<void>): Promise<void> {
    await this.#mark().catch(() => {});
    await leave();
    await this.#removeFolder();
    await this.#parts.configs.removeReplaced(record).catch(() => {});
  }

  /** Throws storage_failed while a mark that was refused may be on the disk, and tries to remove it. */
  assertUnmarked(): void {
    if (!this.#mayBeMarked) return;
    void this.#takeMarkAway();
    throw storageError(new Error("The run's folder is marked as deleted, and the mark cannot be removed"));
  }

  async #mark(): Promise<void> {
    const { files } = this.#parts;
    try {
      mark(files, this.#folder, "deleted");
      await files.sync(this.#folder);
    } catch (error) {
      // A folder that is gone is as good as marked.
      if (error instanceof Deno.errors.NotFound) return;
      await this.#takeMarkAway();
      throw storageError(error);
    }
  }

  async #takeMarkAway(): Promise<void> {
    this.#mayBeMarked = true;
    try {
      await unmark(this.#parts.files, this.#folder, "deleted");
      this.#mayBeMarked = false;
    } catch {
      // Tried again with the next change.
    }
  }

  /** What cannot be removed is removed at the next start, by its mark. */
  async #removeFolder(): Promise<void> {
    await removeMarked(this.#parts.files, this.#folder).catch(() => {});
  }
}
