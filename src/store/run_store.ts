/**
 * One run on disk: a folder with snapshots and the journals that go on from them, and the record in KV that says which
 * snapshots can be trusted.
 *
 *     INCARNATION/snapshot-3.safetensors   the state when journal-3.log was begun
 *     INCARNATION/journal-3.log            every change since
 *     INCARNATION/run.json                 what the run is, and which snapshots can be trusted (run_file.ts)
 *     INCARNATION/unfinished, /deleted     marks: nobody was told of the run yet, or it is to go (marks.ts)
 *
 * Knows no session: what a record means and what a snapshot holds is its caller's. Invariants: the journals from the
 * oldest kept snapshot on are there; a file is removed only when the run's file no longer needs it; the folder is
 * removed only when a mark in it says so. The record in KV follows the folder.
 */
import { refusal } from "../errors.ts";
import type { Files } from "./files.ts";
import type { JournalRecord } from "./journal_reader.ts";
import type { JournalOwner } from "./journal_writer.ts";
import { JournalChain } from "./journal_chain.ts";
import { type ConfigStore, type CreationRecord, partsOf, type RunRecord, type SnapshotRecord } from "./kv.ts";
import { giveUp, mark, unmark } from "./marks.ts";
import { Deletion } from "./deletion.ts";
import { type Beginning, KeptRunFile } from "./kept_run_file.ts";
import { openingFiles, type Rebuild } from "./open_files.ts";
import { SnapshotFile } from "./snapshot_file.ts";
import {
  type SnapshotOwner,
  type SnapshotPlace,
  SnapshotTaker,
  type Taken,
  type TakeSnapshot,
} from "./snapshot_taker.ts";
import { readSnapshot } from "./snapshot_reader.ts";
import { SnapshotWriter } from "./snapshot_writer.ts";
import type { Room } from "./room.ts";
import { tidy } from "./tidy.ts";

/** Snapshots that are kept: the newest, and one in case that it is damaged. */
const SNAPSHOTS_KEPT = 2;

export interface StoreParts {
  readonly files: Files;
  readonly room: Room;
  readonly configs: ConfigStore;
  /** Folder that holds the runs' folders. */
  readonly folder: string;
}

export class RunStore {
  readonly #parts: StoreParts;
  readonly #folder: string;
  readonly #owner: JournalOwner;
  readonly #journals: JournalChain;
  readonly #snapshots: SnapshotTaker;
  readonly #file: KeptRunFile;
  readonly #deletion: Deletion;
  #record: RunRecord;
  #newest: SnapshotPlace | undefined;
  /** A snapshot that turned out to be damaged. */
  #damaged: SnapshotRecord | undefined;
  /** Whether there is room for one snapshot only. */
  #isTight = false;

  constructor(parts: StoreParts, record: RunRecord) {
    this.#parts = parts;
    this.#record = record;
    this.#folder = `${parts.folder}/${record.incarnation}`;
    const { files } = parts, folder = this.#folder;
    const owner = this.#owner = { run: record.id, incarnation: record.incarnation };
    this.#file = new KeptRunFile(files, folder);
    this.#deletion = new Deletion(parts, folder);
    const journals = this.#journals = new JournalChain({ files, folder, owner });
    this.#snapshots = new SnapshotTaker({
      files,
      folder,
      journals,
      owner,
      adopt: (...made) => this.#adopt(...made),
    });
  }

  get record(): RunRecord {
    return this.#record;
  }

  /** Bytes that recovery would replay. */
  get journalBytes(): number {
    return this.#journals.bytes;
  }

  /** Whether what is on disk is not known: the run must be opened again before it answers. */
  get failed(): boolean {
    return this.#journals.failed;
  }

  /** How often that has happened: what was appended before and not flushed is given up. */
  get failures(): number {
    return this.#journals.failures;
  }

  /** Whether everything appended here is on disk. */
  get isFlushed(): boolean {
    return this.#journals.isFlushed;
  }

  /** Resolves when the snapshot that is being written is, or has failed; undefined when there is none. */
  get snapshotting(): Promise<void> | undefined {
    return this.#snapshots.running;
  }

  /** What the newest good snapshot holds; undefined until the run is opened. */
  get newest(): SnapshotPlace | undefined {
    return this.#newest;
  }

  /** Whether nothing was appended since the newest snapshot, as the files have it: for a run that is not open. */
  get isUnchanged(): boolean {
    const newest = this.#record.snapshots[0]?.generation;
    return newest !== undefined && this.#journals.isEmptySince(newest);
  }

  /** What the run was as JSON when the newest snapshot was written; undefined when that is too long to be kept. */
  config(): Promise<string | undefined> {
    return this.#parts.configs.config(this.#record);
  }

  /** The keyed request that created the run, once it is open. */
  get creation(): Required<CreationRecord> | undefined {
    return this.#file.creation;
  }

  /** The newest snapshot, unless it is known to be damaged. */
  get newestSnapshot(): SnapshotRecord | undefined {
    const [newest] = this.#record.snapshots;
    return newest === this.#damaged ? undefined : newest;
  }

  /** A snapshot, to be read as it is. Throws {@link SnapshotDamage} and storage_failed. */
  openSnapshot(snapshot: SnapshotRecord): SnapshotFile {
    return new SnapshotFile(this.#parts.files, this.#folder, snapshot);
  }

  /** A snapshot has turned out to be damaged: it is not relied on until recovery finds otherwise. */
  distrust(snapshot: SnapshotRecord): void {
    if (snapshot !== this.#record.snapshots[0]) return;
    this.#damaged = snapshot;
    this.#newest = undefined;
  }

  /**
   * Makes a new run durable with its first snapshot; `creation` is asked when the files are there; `replaces` is the
   * incarnation of the same id whose place it takes. Leaves nothing behind when it throws.
   */
  async create(take: (owner: SnapshotOwner) => Taken, { creation, replaces }: Beginning = {}): Promise<void> {
    const { files, configs, folder } = this.#parts;
    try {
      await files.makeFolder(this.#folder);
      mark(files, this.#folder, "unfinished");
      const { place, pieces, config } = take({ ...this.#owner, generation: 0 });
      const snapshot = await new SnapshotWriter(files, { folder: this.#folder, generation: 0 }, pieces)
        .finish();
      this.#journals.begin(0, place.sequence);
      this.#journals.adopt();
      await this.#journals.durable();
      this.#record = { ...this.#record, snapshots: [snapshot], configParts: partsOf(config) };
      this.#newest = place;
      const created = creation?.();
      const { sequence } = place;
      await this.#file.create({ record: this.#record, config, sequence, creation: created, replaces });
      await unmark(files, this.#folder, "unfinished");
      await files.sync(folder);
      await configs.put(this.#record, config, created);
    } catch (error) {
      this.close();
      await giveUp(files, this.#folder);
      throw this.#parts.room.refused(error);
    }
  }

  /**
   * Reads the newest good snapshot and the changes since, in pieces; `resume` is to follow. Nothing else may be done to
   * the run meanwhile, except that it is not read to the end. Throws run_damaged, and what the disk throws.
   */
  *opening(rebuild: Rebuild): Generator<number, void> {
    yield* this.#file.reading(this.#owner.incarnation);
    const snapshots = yield* openingFiles({
      files: this.#parts.files,
      folder: this.#folder,
      owner: this.#owner,
      journals: this.#journals,
      snapshots: this.#record.snapshots,
      sequence: this.#file.sequence,
    }, rebuild);
    this.#record = { ...this.#record, snapshots: [...snapshots] };
    this.#damaged = undefined;
  }

  /** Takes further changes after what `open` has read: `sequence` is that of the next; `snapshot` is what was opened. */
  resume({ sequence, snapshot }: { sequence: number; snapshot: SnapshotPlace }): void {
    this.#journals.resume(sequence);
    this.#newest = snapshot;
  }

  /** Appends a change. Throws storage_full or storage_failed: then nothing was appended, or `failed` is set. */
  append(kind: number, payload: readonly Uint8Array[]): void {
    this.#deletion.assertUnmarked();
    try {
      this.#journals.append(kind, payload);
    } catch (error) {
      throw this.#parts.room.refused(error, payload.reduce((sum, piece) => sum + piece.length, 0));
    }
  }

  /** Reads the changes since the oldest kept snapshot again. Throws what the disk throws, and for damage. */
  records(onRecord: (record: JournalRecord) => void): void {
    this.#journals.records(this.#record.snapshots.at(-1)?.generation ?? 0, onRecord);
  }

  /** To be called before the state in memory changes: a snapshot that is being written holds it as it was. */
  changing(): void {
    this.#snapshots.changing();
  }

  /** To be called before the state leaves memory: a snapshot that is being written is given up. */
  leaving(): void {
    this.#snapshots.leaving(this.#record.id);
  }

  /** Resolves when everything appended is on disk. Throws storage_full or storage_failed and sets `failed`. */
  async durable(): Promise<void> {
    try {
      await this.#journals.durable();
    } catch (error) {
      throw this.#parts.room.refused(error);
    }
  }

  /**
   * Begins the next generation: changes go to a new journal from the moment on at which `take` gives the state, which
   * is written behind; `changing` and `leaving` are to be called from then on. There is no snapshot when `take` would
   * not. One at a time, in order. `atOnce`: `take` is called before this call returns, unless another snapshot is under
   * way; `prepareSnapshot` is to be called before. `isTight`: it is the only one that is kept, so that the journals
   * before it can go.
   */
  async snapshot(take: TakeSnapshot, { atOnce = false, isTight = false } = {}): Promise<void> {
    if (isTight) this.#isTight = true;
    try {
      await this.#snapshots.take(take, atOnce);
    } finally {
      if (isTight) this.#isTight = false;
    }
  }

  /** Removes what an attempt has left that the process did not survive. */
  prepareSnapshot(): Promise<void> {
    return this.#snapshots.prepare();
  }

  /** Refers to a new snapshot, then removes what nothing refers to any more. */
  async #adopt(snapshot: SnapshotRecord, { config, place }: Taken): Promise<void> {
    this.#deletion.assertUnmarked();
    const { files, configs } = this.#parts;
    const earlier = this.#record.snapshots.filter((earlier) => earlier !== this.#damaged);
    // What there is no room for is made up for by reading back what was written.
    if (this.#isTight) readSnapshot(files, this.#folder, snapshot, () => {});
    const snapshots = [snapshot, ...earlier].slice(0, this.#isTight ? 1 : SNAPSHOTS_KEPT);
    const record = { ...this.#record, snapshots, configParts: partsOf(config) };
    await this.#file.write({ record, config, sequence: place.sequence });
    await files.sync(this.#folder);
    if (!await configs.replace(record, config)) {
      const run = { path: "run", called: `the run "${record.id}"` };
      throw refusal("unknown_run", "store", run, "was deleted or replaced");
    }
    this.#record = record;
    this.#journals.forgetEarlier();
    await tidy(files, this.#folder, record);
    this.#newest = place;
  }

  /** Removes the run for good. Throws storage_full and storage_failed; then the run is as it was. */
  remove(): Promise<void> {
    return this.#deletion.remove(this.#record, () => this.#leave());
  }

  /** Removes what is left of a run that another incarnation has taken the place of, which its own file says. */
  discard(): Promise<void> {
    return this.#deletion.discard(this.#record, () => this.#leave());
  }

  async #leave(): Promise<void> {
    await this.snapshotting;
    this.close();
  }

  /** Gives the files back. What was appended and not flushed may or may not be there when it is opened again. */
  close(): void {
    this.#journals.close();
  }
}
