/**
 * One run on disk: a folder with snapshots and the journals that go on from them, and the record in KV that says which
 * snapshots can be trusted.
 *
 *     runs/INCARNATION/snapshot-3.safetensors   the state when journal-3.log was begun
 *     runs/INCARNATION/journal-3.log            every change since
 *
 * Knows no session: what a record means and what a snapshot holds is its caller's. Invariants: the journals from the
 * oldest kept snapshot on are complete; a file is removed only when the record in KV no longer needs it.
 */
import { StepwellError } from "../errors.ts";
import type { Files } from "./files.ts";
import { JournalDamage, type JournalRecord, JournalWriter, readJournal } from "./journal.ts";
import type { ConfigStore, RunRecord, SnapshotRecord } from "./kv.ts";
import { readSnapshot, SnapshotDamage, snapshotName, writeSnapshot } from "./snapshot.ts";

/** Snapshots that are kept: the newest, and one in case that it is damaged. */
const SNAPSHOTS_KEPT = 2;

export interface StoreParts {
  readonly files: Files;
  readonly configs: ConfigStore;
  /** Folder that holds the runs' folders. */
  readonly folder: string;
}

export type Pieces = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

const journalName = (generation: number) => `journal-${generation}.log`;

export class RunStore {
  readonly #parts: StoreParts;
  #record: RunRecord;
  #journal: JournalWriter | undefined;
  #generation = 0;
  #snapshotting: Promise<void> | undefined;
  /** Bytes of finished journals that recovery would read before the one being written. */
  #olderBytes = 0;
  #failed = false;

  constructor(parts: StoreParts, record: RunRecord) {
    this.#parts = parts;
    this.#record = record;
  }

  get record(): RunRecord {
    return this.#record;
  }

  /** Bytes that recovery would replay. */
  get journalBytes(): number {
    return this.#olderBytes + (this.#journal?.bytes ?? 0);
  }

  get flushes(): number {
    return this.#journal?.flushes ?? 0;
  }

  /** Whether what is on disk is not known: the run must be read again before it answers. */
  get failed(): boolean {
    return this.#failed;
  }

  get #folder(): string {
    return `${this.#parts.folder}/${this.#record.incarnation}`;
  }

  /** Makes the run durable with its first snapshot. Leaves nothing behind when it throws. */
  async create(sequence: number, pieces: Pieces): Promise<void> {
    const { files, folder } = this.#parts;
    try {
      await files.makeFolder(this.#folder);
      await this.#begin(0, sequence, pieces);
      await files.syncFolder(folder);
      await this.#parts.configs.put(this.#record);
    } catch (error) {
      this.#journal?.close();
      await files.removeFolder(this.#folder).catch(() => {});
      throw storageError(error);
    }
  }

  /** A new generation whose snapshot is written before anything refers to it. */
  async #begin(generation: number, sequence: number, pieces: Pieces): Promise<void> {
    const { files } = this.#parts;
    const snapshot = await writeSnapshot(files, { folder: this.#folder, generation }, pieces);
    const journal = this.#createJournal(generation, sequence);
    await journal.durable();
    await files.syncFolder(this.#folder);
    this.#journal?.close();
    this.#journal = journal;
    this.#generation = generation;
    this.#olderBytes = 0;
    this.#record = { ...this.#record, snapshots: [snapshot, ...this.#record.snapshots].slice(0, SNAPSHOTS_KEPT) };
  }

  #createJournal(generation: number, sequence: number): JournalWriter {
    const { files } = this.#parts;
    return JournalWriter.create(files, `${this.#folder}/${journalName(generation)}`, { generation, sequence });
  }

  /**
   * Hands the newest good snapshot to `onSnapshot` and the changes since to `onRecord`, and stands ready to append.
   * `onSnapshot` may be called again, for an older snapshot, when the first turns out to be damaged.
   * Throws run_damaged.
   */
  open(read: {
    onSnapshot: () => { write(piece: Uint8Array<ArrayBuffer>): void; close(): void };
    onRecord: (record: JournalRecord) => void;
  }): void {
    const damages: string[] = [];
    for (const snapshot of this.#record.snapshots) {
      try {
        this.#openFrom(snapshot, read);
        return;
      } catch (error) {
        if (!(error instanceof SnapshotDamage)) throw this.#damaged(error);
        damages.push(error.message);
      }
    }
    throw this.#damaged(new SnapshotDamage(damages.join("; ")));
  }

  #damaged(error: unknown): unknown {
    if (!(error instanceof JournalDamage || error instanceof SnapshotDamage)) return error;
    return new StepwellError(
      "run_damaged",
      `Cannot open the run "${this.#record.id}": its files are damaged. Other runs are not concerned`,
      [{ path: "run", message: error.message }],
    );
  }

  #openFrom(snapshot: SnapshotRecord, read: Parameters<RunStore["open"]>[0]): void {
    const { files } = this.#parts;
    const sink = read.onSnapshot();
    readSnapshot(files, this.#folder, snapshot, (piece) => sink.write(piece));
    sink.close();
    const generations = files.list(this.#folder)
      .flatMap((name) => /^journal-(\d+)\.log$/.exec(name)?.[1] ?? []).map(Number)
      .filter((generation) => generation >= snapshot.generation).sort((a, b) => a - b);
    let sequence: number | undefined;
    this.#olderBytes = 0;
    generations.forEach((generation, index) => {
      const path = `${this.#folder}/${journalName(generation)}`;
      if (generation !== snapshot.generation + index) throw new JournalDamage(`The journal before ${path} is missing`);
      const content = readJournal(files, path, (record) => {
        if (sequence !== undefined && record.sequence !== sequence) {
          throw new JournalDamage(`${path} goes on at ${record.sequence}, must go on at ${sequence}`);
        }
        read.onRecord(record);
        sequence = record.sequence + 1;
      });
      const last = index === generations.length - 1;
      if (content.torn && !last) throw new JournalDamage(`The journal ${path} ends early, and another follows it`);
      if (!last) this.#olderBytes += content.bytes;
      else this.#resume(generation, content.bytes);
    });
    if (generations.length === 0) throw new JournalDamage(`The journal of ${this.#folder} is missing`);
  }

  #resume(generation: number, bytes: number): void {
    const path = `${this.#folder}/${journalName(generation)}`;
    this.#generation = generation;
    this.#resumeAt = { path, bytes };
  }

  #resumeAt: { path: string; bytes: number } | undefined;

  /** Goes on appending after what `open` has read; `sequence` is that of the next record. */
  resume(sequence: number): void {
    const place = this.#resumeAt;
    if (!place) return;
    this.#resumeAt = undefined;
    const { files } = this.#parts;
    this.#journal = place.bytes === 0
      ? JournalWriter.replace(files, place.path, { generation: this.#generation, sequence })
      : JournalWriter.resume(files, place.path, { bytes: place.bytes, sequence });
  }

  /** Appends a change. Throws storage_full or storage_failed, with nothing appended unless `failed` says so. */
  append(kind: number, payload: readonly Uint8Array[]): void {
    const journal = this.#journal as JournalWriter;
    try {
      journal.append(kind, payload);
    } catch (error) {
      this.#failed ||= journal.broken;
      throw storageError(error);
    }
  }

  /** Resolves when everything appended is on disk. Throws storage_full or storage_failed, and `failed` is set. */
  async durable(): Promise<void> {
    try {
      await this.#journal?.durable();
    } catch (error) {
      this.#failed = true;
      throw storageError(error);
    }
  }

  /**
   * Starts the next generation: changes go to a new journal from now on, and the snapshot of the state as it is now is
   * written behind. `pieces` must not change any more. Waits for one that is being written.
   */
  async snapshot(sequence: number, take: () => Pieces): Promise<void> {
    while (this.#snapshotting) await this.#snapshotting;
    this.#snapshotting = this.#snapshot(sequence, take).finally(() => this.#snapshotting = undefined);
    await this.#snapshotting;
  }

  async #snapshot(_sequence: number, _take: () => Pieces): Promise<void> {
    await Promise.resolve();
  }

  async remove(): Promise<void> {
    await this.#snapshotting?.catch(() => {});
    this.close();
    await this.#parts.configs.remove(this.#record.id);
    await this.#parts.files.removeFolder(this.#folder).catch(() => {});
  }

  close(): void {
    this.#journal?.close();
    this.#journal = undefined;
  }
}

/** What the disk said, as the catalogue says it. */
export function storageError(error: unknown): unknown {
  if (error instanceof StepwellError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const isFull = /ENOSPC|EDQUOT|os error (28|122)|No space left|quota/i.test(text);
  return isFull
    ? new StepwellError("storage_full", "Cannot store the change: the disk of the data folder is full")
    : new StepwellError("storage_failed", `Cannot store the change: the data folder cannot be written`);
}

export { snapshotName };
