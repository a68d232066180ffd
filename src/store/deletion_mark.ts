/**
 * The mark that decides a run's deletion. One that was refused may be on the disk all the same: until it is known to be
 * gone, nothing of the run may be acknowledged, since the next start would remove it.
 */
import type { Files } from "./files.ts";
import { mark, unmark } from "./marks.ts";
import { storageError } from "./storage_error.ts";

export class DeletionMark {
  readonly #files: Files;
  readonly #folder: string;
  #mayBeThere = false;

  constructor(files: Files, folder: string) {
    this.#files = files;
    this.#folder = folder;
  }

  /** Makes the mark durable. Throws storage_full and storage_failed; then the run is as it was. */
  async make(): Promise<void> {
    try {
      mark(this.#files, this.#folder, "deleted");
      await this.#files.sync(this.#folder);
    } catch (error) {
      // A folder that is gone is as good as marked.
      if (error instanceof Deno.errors.NotFound) return;
      await this.#takeAway();
      throw storageError(error);
    }
  }

  /** Throws storage_failed while a mark that was refused may be on the disk, and tries to remove it. */
  assertAbsent(): void {
    if (!this.#mayBeThere) return;
    void this.#takeAway();
    throw storageError(new Error("The run's folder is marked as deleted, and the mark cannot be removed"));
  }

  async #takeAway(): Promise<void> {
    this.#mayBeThere = true;
    try {
      await unmark(this.#files, this.#folder, "deleted");
      this.#mayBeThere = false;
    } catch {
      // Tried again with the next change.
    }
  }
}
