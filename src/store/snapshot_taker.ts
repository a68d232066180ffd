/**
 * The snapshots of one run as they come about: one at a time, each from the state as it was when the next journal was
 * begun, however the state changes while it is written.
 *
 * Knows no record in KV: whoever keeps that adopts what was written. Invariant: a snapshot that was adopted is whole, on
 * disk, and of one moment.
 */
import { StepwellError } from "../errors.ts";
import type { Files } from "./files.ts";
import type { JournalChain } from "./journal_chain.ts";
import type { SnapshotRecord } from "./kv.ts";
import { asideName, SnapshotWriter } from "./snapshot_writer.ts";
import { storageError } from "./storage_error.ts";

/** Where a snapshot stands among a run's changes. */
export interface SnapshotPlace {
  readonly version: number;
  /** Of the next change. */
  readonly sequence: number;
}

/** A run's state as it is at a moment, to be written from where it lies. */
export interface Taken {
  readonly place: SnapshotPlace;
  /** Each is used up before the next one is asked for, and before anything else happens. */
  readonly pieces: Iterable<Uint8Array>;
  /** Called before the state changes: whether pieces that were not asked for yet are good all the same. */
  detach(): boolean;
  /** What the run is, as JSON. */
  readonly config: string;
}

interface SnapshotsParts {
  readonly files: Files;
  readonly folder: string;
  readonly journals: JournalChain;
  /** Refers to a snapshot that is on disk. */
  adopt(snapshot: SnapshotRecord, taken: Taken): Promise<void>;
}

export class SnapshotTaker {
  readonly #parts: SnapshotsParts;
  #running: Promise<void> | undefined;
  /** The snapshot that is being written. */
  #writing: { readonly writer: SnapshotWriter; readonly detach: () => boolean } | undefined;

  constructor(parts: SnapshotsParts) {
    this.#parts = parts;
  }

  /** Resolves when the snapshot that is being written is, or has failed; undefined when there is none. */
  get running(): Promise<void> | undefined {
    return this.#running?.catch(() => {});
  }

  /** As RunStore.snapshot. */
  async take(take: () => Taken | undefined, atOnce: boolean): Promise<void> {
    while (this.#running) await this.running;
    this.#running = this.#take(take, atOnce);
    try {
      await this.#running;
    } catch (error) {
      throw storageError(error);
    } finally {
      this.#running = undefined;
    }
  }

  /** Removes what an attempt has left that the process did not survive. */
  async prepare(): Promise<void> {
    const { files, folder, journals } = this.#parts;
    await files.remove(`${folder}/${asideName(journals.nextGeneration)}`).catch(() => {});
  }

  async #take(take: () => Taken | undefined, atOnce: boolean): Promise<void> {
    const { files, folder, journals, adopt } = this.#parts;
    if (!atOnce) {
      await this.prepare();
      await journals.finish();
    }
    // The snapshot holds nothing that could be given up later.
    journals.finishNow();
    const taken = take();
    if (!taken) return;
    const generation = journals.nextGeneration;
    journals.begin(generation, taken.place.sequence);
    const writer = new SnapshotWriter(files, { folder, generation }, taken.pieces);
    this.#writing = { writer, detach: () => taken.detach() };
    try {
      const snapshot = await writer.finish();
      await journals.durable();
      await adopt(snapshot, taken);
    } finally {
      this.#writing = undefined;
    }
  }

  /** To be called before the state in memory changes: a snapshot that is being written holds it as it was. */
  changing(): void {
    if (this.#writing?.detach() === false) this.#writing.writer.finishPieces();
  }

  /** To be called before the state of the run leaves memory: a snapshot that is being written is given up. */
  leaving(id: string): void {
    this.#writing?.writer.abandon(
      new StepwellError("unknown_run", `Cannot store the run "${id}": it was deleted, replaced or read anew`),
    );
  }
}
