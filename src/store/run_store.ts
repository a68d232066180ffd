/**
 * One run on disk: a folder with snapshots and the journals that go on from them, and the record in KV that says which
 * snapshots can be trusted.
 *
 *     INCARNATION/snapshot-3.safetensors   the state when journal-3.log was begun
 *     INCARNATION/journal-3.log            every change since
 *
 * Knows no session: what a record means and what a snapshot holds is its caller's. Invariants: the journals from the
 * oldest kept snapshot on are there; a file is removed only when the record in KV no longer needs it.
 */
import { StepwellError } from "../errors.ts";
import type { Files } from "./files.ts";
import { JournalDamage, type JournalRecord } from "./journal_reader.ts";
import { generationsOf, JournalChain, journalName } from "./journal_chain.ts";
import { type ConfigStore, type CreationRecord, partsOf, type RunRecord, type SnapshotRecord } from "./kv.ts";
import { SnapshotFile } from "./snapshot_file.ts";
import { type SnapshotPlace, SnapshotTaker, type Taken } from "./snapshot_taker.ts";
import { readSnapshot, SnapshotDamage } from "./snapshot_reader.ts";
import { asideName, snapshotName, SnapshotWriter } from "./snapshot_writer.ts";
import { storageError } from "./storage_error.ts";

/** Snapshots that are kept: the newest, and one in case that it is damaged. */
const SNAPSHOTS_KEPT = 2;

export interface StoreParts {
  readonly files: Files;
  readonly configs: ConfigStore;
  /** Folder that holds the runs' folders. */
  readonly folder: string;
}

/** What is made of the files of a run that is opened. */
export interface Rebuild {
  /** Called for the newest snapshot, and for the one before if that turns out to be damaged. */
  onSnapshot(): { write(piece: Uint8Array<ArrayBuffer>): void; close(): void };
  onRecord(record: JournalRecord): void;
}

export class RunStore {
  readonly #parts: StoreParts;
  readonly #folder: string;
  readonly #journals: JournalChain;
  readonly #snapshots: SnapshotTaker;
  #record: RunRecord;
  #newest: SnapshotPlace | undefined;
  /** A snapshot that turned out to be damaged. */
  #damaged: SnapshotRecord | undefined;

  constructor(parts: StoreParts, record: RunRecord) {
    this.#parts = parts;
    this.#record = record;
    this.#folder = `${parts.folder}/${record.incarnation}`;
    const { files } = parts,
      folder = this.#folder,
      journals = this.#journals = new JournalChain(files, folder);
    this.#snapshots = new SnapshotTaker({
      files,
      folder,
      journals,
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

  /** Makes a new run durable with its first snapshot; `creation` is asked when the files are there. Leaves nothing behind when it throws. */
  async create({ place, pieces, config }: Taken, creation?: () => Required<CreationRecord>): Promise<void> {
    const { files, configs, folder } = this.#parts;
    try {
      await files.makeFolder(this.#folder);
      const snapshot = await new SnapshotWriter(files, { folder: this.#folder, generation: 0 }, pieces)
        .finish();
      this.#journals.begin(0, place.sequence);
      this.#journals.adopt();
      await this.#journals.durable();
      await files.sync(folder);
      this.#record = { ...this.#record, snapshots: [snapshot], configParts: partsOf(config) };
      this.#newest = place;
      await configs.put(this.#record, config, creation?.());
    } catch (error) {
      this.close();
      await files.removeFolder(this.#folder).catch(() => {});
      throw storageError(error);
    }
  }

  /**
   * Reads the newest good snapshot and the changes since; `resume` is to follow. Throws run_damaged, and what the disk
   * throws.
   */
  open(rebuild: Rebuild): void {
    const damages: string[] = [];
    for (const [index, snapshot] of this.#record.snapshots.entries()) {
      try {
        this.#openFrom(snapshot, rebuild);
        // What is damaged is no help when the next snapshot is.
        this.#record = { ...this.#record, snapshots: this.#record.snapshots.slice(index) };
        this.#damaged = undefined;
        return;
      } catch (error) {
        if (!(error instanceof SnapshotDamage || error instanceof JournalDamage)) throw error;
        damages.push(error.message);
        // An older snapshot helps against a damaged snapshot only: it needs the same journals, and more.
        if (error instanceof JournalDamage) break;
      }
    }
    throw new StepwellError(
      "run_damaged",
      `Cannot open the run "${this.#record.id}": its files are damaged (${damages.length} found)`,
      damages.map((message) => ({ path: "run", message })),
    );
  }

  #openFrom(snapshot: SnapshotRecord, rebuild: Rebuild): void {
    const sink = rebuild.onSnapshot();
    readSnapshot(this.#parts.files, this.#folder, snapshot, (piece) => sink.write(piece));
    sink.close();
    this.#journals.read(snapshot.generation, (record) => rebuild.onRecord(record));
  }

  /** Takes further changes after what `open` has read: `sequence` is that of the next; `snapshot` is what was opened. */
  resume({ sequence, snapshot }: { sequence: number; snapshot: SnapshotPlace }): void {
    this.#journals.resume(sequence);
    this.#newest = snapshot;
  }

  /** Appends a change. Throws storage_full or storage_failed: then nothing was appended, or `failed` is set. */
  append(kind: number, payload: readonly Uint8Array[]): void {
    this.#journals.append(kind, payload);
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
  durable(): Promise<void> {
    return this.#journals.durable();
  }

  /**
   * Begins the next generation: changes go to a new journal from the moment on at which `take` gives the state, which
   * is written behind; `changing` and `leaving` are to be called from then on. There is no snapshot when `take` would
   * not. One at a time, in order. `atOnce`: `take` is called before this call returns, unless another snapshot is under
   * way; `prepareSnapshot` is to be called before.
   */
  snapshot(take: () => Taken | undefined, { atOnce = false } = {}): Promise<void> {
    return this.#snapshots.take(take, atOnce);
  }

  /** Removes what an attempt has left that the process did not survive. */
  prepareSnapshot(): Promise<void> {
    return this.#snapshots.prepare();
  }

  /** Refers to a new snapshot, then removes what nothing refers to any more. */
  async #adopt(snapshot: SnapshotRecord, { config, place }: Taken): Promise<void> {
    const { files, configs } = this.#parts;
    const earlier = this.#record.snapshots.filter((earlier) => earlier !== this.#damaged);
    const snapshots = [snapshot, ...earlier].slice(0, SNAPSHOTS_KEPT);
    const record = { ...this.#record, snapshots, configParts: partsOf(config) };
    if (!await configs.replace(record, config)) {
      throw new StepwellError(
        "unknown_run",
        `Cannot store the run "${record.id}": it was deleted or replaced`,
      );
    }
    this.#record = record;
    this.#journals.forgetEarlier();
    const oldest = snapshots.at(-1)?.generation ?? 0;
    for (const name of [snapshotName, asideName, journalName]) {
      for (const generation of generationsOf(files.list(this.#folder), name)) {
        // What cannot be removed is tried again with the next snapshot.
        if (generation < oldest) await files.remove(`${this.#folder}/${name(generation)}`).catch(() => {});
      }
    }
    this.#newest = place;
  }

  /** Removes the run for good. Throws and leaves it as it is when its record cannot be removed. */
  async remove(): Promise<void> {
    await this.#parts.configs.remove(this.#record);
    await this.#removeFiles();
  }

  /** Removes what is left of a run that another incarnation has taken the place of. */
  async discard(): Promise<void> {
    await this.#removeFiles();
    await this.#parts.configs.removeReplaced(this.#record).catch(() => {});
  }

  async #removeFiles(): Promise<void> {
    await this.snapshotting;
    this.close();
    await this.#parts.files.removeFolder(this.#folder).catch(() => {});
  }

  /** Gives the files back. What was appended and not flushed may or may not be there when it is opened again. */
  close(): void {
    this.#journals.close();
  }
}
