/**
 * One run on disk: a folder with snapshots and the journals that go on from them, and the record in KV that says which
 * snapshots can be trusted.
 *
 *     INCARNATION/snapshot-3.safetensors   the state when journal-3.log was begun
 *     INCARNATION/journal-3.log            every change since
 *
 * Knows no session: what a record means and what a snapshot holds is its caller's. Invariants: the journals from the
 * oldest kept snapshot on are complete; a file is removed only when the record in KV no longer needs it.
 */
import { StepwellError } from "../errors.ts";
import type { Files } from "./files.ts";
import { JournalDamage, type JournalRecord, JournalWriter, readJournal } from "./journal.ts";
import type { ConfigStore, CreationRecord, RunRecord, SnapshotRecord } from "./kv.ts";
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

/** What is made of the files of a run that is opened. */
export interface Rebuild {
  /** Called for the newest snapshot, and for the one before if that turns out to be damaged. */
  onSnapshot(): { write(piece: Uint8Array<ArrayBuffer>): void; close(): void };
  onRecord(record: JournalRecord): void;
}

const journalName = (generation: number) => `journal-${generation}.log`;

export class RunStore {
  readonly #parts: StoreParts;
  #record: RunRecord;
  #generation = 0;
  #journal: JournalWriter | undefined;
  /** Journals that are complete but perhaps not on disk yet. */
  readonly #finished = new Set<JournalWriter>();
  /** Bytes that recovery reads before the journal that is being written. */
  #earlierBytes = 0;
  #folderIsDirty = false;
  #failed = false;
  #snapshotting: Promise<void> | undefined;

  constructor(parts: StoreParts, record: RunRecord) {
    this.#parts = parts;
    this.#record = record;
  }

  get record(): RunRecord {
    return this.#record;
  }

  /** Bytes that recovery would replay. */
  get journalBytes(): number {
    return this.#earlierBytes + (this.#journal?.bytes ?? 0);
  }

  /** Whether what is on disk is not known: the run must be read again before it answers. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Whether everything appended is on disk. */
  get isFlushed(): boolean {
    return !this.#failed && this.#finished.size === 0 && !this.#folderIsDirty &&
      this.#journal?.isFlushed === true;
  }

  get isSnapshotting(): boolean {
    return this.#snapshotting !== undefined;
  }

  get #folder(): string {
    return `${this.#parts.folder}/${this.#record.incarnation}`;
  }

  #journalPath(generation: number): string {
    return `${this.#folder}/${journalName(generation)}`;
  }

  /** Makes a new run durable with its first snapshot. Leaves nothing behind when it throws. */
  async create(sequence: number, pieces: Pieces, creation?: CreationRecord): Promise<void> {
    const { files, configs, folder } = this.#parts;
    try {
      await files.makeFolder(this.#folder);
      const snapshot = await writeSnapshot(files, { folder: this.#folder, generation: 0 }, pieces);
      this.#beginJournal(0, sequence);
      await this.durable();
      await files.syncFolder(folder);
      this.#record = { ...this.#record, snapshots: [snapshot] };
      await configs.put(this.#record, creation);
    } catch (error) {
      this.close();
      await files.removeFolder(this.#folder).catch(() => {});
      throw storageError(error);
    }
  }

  #beginJournal(generation: number, sequence: number): void {
    const file = this.#parts.files.create(this.#journalPath(generation));
    const journal = JournalWriter.begin(file, { generation, sequence });
    if (this.#journal) {
      this.#finished.add(this.#journal);
      this.#earlierBytes += this.#journal.bytes;
    }
    this.#journal = journal;
    this.#generation = generation;
    this.#folderIsDirty = true;
  }

  /**
   * Reads the newest good snapshot and the changes since, and returns where to go on. Throws run_damaged.
   */
  open(rebuild: Rebuild): void {
    const damages: string[] = [];
    for (const snapshot of this.#record.snapshots) {
      try {
        return this.#openFrom(snapshot, rebuild);
      } catch (error) {
        if (!(error instanceof SnapshotDamage || error instanceof JournalDamage)) throw error;
        damages.push(error.message);
        // An older snapshot helps against a damaged snapshot only: it needs the same journals, and more.
        if (error instanceof JournalDamage) break;
      }
    }
    throw new StepwellError(
      "run_damaged",
      `Cannot open the run "${this.#record.id}": its files are damaged (${damages.length} found); the log has the places`,
      damages.map((message) => ({ path: "run", message })),
    );
  }

  #openFrom(snapshot: SnapshotRecord, rebuild: Rebuild): void {
    const { files } = this.#parts;
    const sink = rebuild.onSnapshot();
    readSnapshot(files, this.#folder, snapshot, (piece) => sink.write(piece));
    sink.close();
    const generations = this.#generations(journalName).filter((generation) =>
      generation >= snapshot.generation
    );
    if (generations[0] !== snapshot.generation) {
      throw new JournalDamage(`A journal of ${this.#folder} is missing`);
    }
    let next: number | undefined;
    let end = { bytes: 0, generation: snapshot.generation };
    this.#earlierBytes = 0;
    generations.forEach((generation, index) => {
      const path = this.#journalPath(generation);
      if (generation !== snapshot.generation + index) {
        throw new JournalDamage(`The journal before ${path} is missing`);
      }
      const { bytes, torn } = readJournal(files, path, (record) => {
        if (next !== undefined && record.sequence !== next) {
          throw new JournalDamage(`${path} goes on at ${record.sequence}, must go on at ${next}`);
        }
        rebuild.onRecord(record);
        next = record.sequence + 1;
      });
      const isLast = index === generations.length - 1;
      if (torn && !isLast) throw new JournalDamage(`The journal ${path} ends early, and another follows it`);
      if (!isLast) this.#earlierBytes += bytes;
      end = { bytes, generation };
    });
    this.#end = end;
  }

  #end: { readonly bytes: number; readonly generation: number } | undefined;

  /** Goes on appending after what `open` has read; `sequence` is that of the next record. */
  resume(sequence: number): void {
    if (!this.#end) throw new Error("Nothing was opened");
    const { bytes, generation } = this.#end;
    this.#end = undefined;
    this.#generation = generation;
    const file = this.#parts.files.resume(this.#journalPath(generation), bytes);
    this.#journal = bytes === 0
      ? JournalWriter.begin(file, { generation, sequence })
      : JournalWriter.resume(file, sequence);
  }

  /** The generations of the files that `name` names, rising. */
  #generations(name: (generation: number) => string): number[] {
    return this.#parts.files.list(this.#folder)
      .flatMap((found) => {
        const generation = Number(/-(\d+)\./.exec(found)?.[1] ?? NaN);
        return found === name(generation) ? [generation] : [];
      })
      .sort((a, b) => a - b);
  }

  /** Appends a change. Throws storage_full or storage_failed: then nothing was appended, or `failed` is set. */
  append(kind: number, payload: readonly Uint8Array[]): void {
    const journal = this.#journal;
    if (!journal || this.#failed) throw storageError(new Error("The journal is not open"));
    try {
      journal.append(kind, payload);
    } catch (error) {
      this.#failed ||= journal.broken;
      throw storageError(error);
    }
  }

  /** Resolves when everything appended is on disk. Throws storage_full or storage_failed and sets `failed`. */
  async durable(): Promise<void> {
    const writers = [...this.#finished, ...this.#journal ? [this.#journal] : []];
    try {
      for (const writer of writers) {
        await writer.durable();
        if (this.#finished.delete(writer)) writer.close();
      }
      if (this.#folderIsDirty) {
        await this.#parts.files.syncFolder(this.#folder);
        this.#folderIsDirty = false;
      }
    } catch (error) {
      this.#failed = true;
      throw storageError(error);
    }
  }

  /**
   * Begins the next generation: from now on changes go to a new journal. `take` copies the state before anything else
   * happens; the copy is written behind. One at a time: joins the one that is being written.
   */
  snapshot(sequence: number, take: () => Pieces): Promise<void> {
    return this.#snapshotting ??= this.#snapshot(sequence, take).finally(() =>
      this.#snapshotting = undefined
    );
  }

  async #snapshot(sequence: number, take: () => Pieces): Promise<void> {
    const generation = this.#generation + 1;
    try {
      const pieces = take();
      this.#beginJournal(generation, sequence);
      const snapshot = await writeSnapshot(this.#parts.files, { folder: this.#folder, generation }, pieces);
      await this.durable();
      await this.#adopt(snapshot);
    } catch (error) {
      throw storageError(error);
    }
  }

  /** Refers to a new snapshot, then removes what nothing refers to any more. */
  async #adopt(snapshot: SnapshotRecord): Promise<void> {
    const { files, configs } = this.#parts;
    const record = {
      ...this.#record,
      snapshots: [snapshot, ...this.#record.snapshots].slice(0, SNAPSHOTS_KEPT),
    };
    await configs.put(record);
    this.#record = record;
    this.#earlierBytes = 0;
    const oldest = record.snapshots.at(-1)?.generation ?? 0;
    for (const name of [snapshotName, journalName]) {
      for (const generation of this.#generations(name).filter((each) => each < oldest)) {
        await files.remove(`${this.#folder}/${name(generation)}`);
      }
    }
  }

  /** Removes the run for good. */
  async remove(): Promise<void> {
    await this.#parts.configs.remove(this.#record.id);
    await this.discard();
  }

  /** Removes the files of a run whose record is gone, or has another incarnation now. */
  async discard(): Promise<void> {
    await this.#snapshotting?.catch(() => {});
    this.close();
    await this.#parts.files.removeFolder(this.#folder).catch(() => {});
  }

  /** Gives the files back. What was appended and not flushed may or may not be there when it is opened again. */
  close(): void {
    for (const writer of [...this.#finished, ...this.#journal ? [this.#journal] : []]) writer.close();
    this.#finished.clear();
    this.#journal = undefined;
  }
}

/** What the disk said, as the catalogue says it. */
export function storageError(error: unknown): StepwellError {
  if (error instanceof StepwellError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return /os error (28|122)\b|ENOSPC|EDQUOT/.test(text)
    ? new StepwellError("storage_full", "Cannot store the change: the disk of the data folder is full", [
      { path: "storage", message: text },
    ])
    : new StepwellError("storage_failed", "Cannot store the change: the data folder cannot be written", [
      { path: "storage", message: text },
    ]);
}
