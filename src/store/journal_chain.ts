/**
 * The journals of one run, in its folder: `journal-GENERATION.log`, each going on where the one before ended.
 *
 * Knows no snapshot. Invariants: a journal is whole and on disk before the next one is begun, so that only the last can
 * have a torn tail; once a flush has failed nothing is confirmed any more until the files were read again, and then
 * only what earlier flushes had confirmed is believed.
 */
import type { StepwellError } from "../errors.ts";
import { atOnce } from "../slices.ts";
import type { Files } from "./files.ts";
import { FILE_HEADER_BYTES, journalHeader, type JournalOwner, JournalWriter } from "./journal_writer.ts";
import {
  type JournalContent,
  JournalDamage,
  type JournalRecord,
  type OnRecord,
  readingJournal,
} from "./journal_reader.ts";
import { reading, storageError } from "./storage_error.ts";

/** Where a journal ends, as far as it can be trusted. */
interface JournalEnd {
  readonly generation: number;
  readonly bytes: number;
}

interface JournalsPlace {
  readonly files: Files;
  readonly folder: string;
  readonly owner: JournalOwner;
}

export const journalName = (generation: number) => `journal-${generation}.log`;

export class JournalChain {
  readonly #files: Files;
  readonly #folder: string;
  readonly #owner: JournalOwner;
  /** The journal that is being written, once something was. */
  #journal: JournalWriter | undefined;
  /** Where the last journal began to be written here. */
  #end: JournalEnd = { generation: -1, bytes: 0 };
  /** Bytes of those before the last. */
  #earlierBytes = 0;
  /** Of the next record when the files were opened; undefined while they are closed. */
  #sequence: number | undefined;
  /** Whether another process wrote the files, which may not be on disk then. */
  #isForeign = true;
  #unsynced: readonly string[] = [];
  #folderChanges = 0;
  #folderSynced = 0;
  #failed = false;
  #failures = 0;
  /** After a failure: what of the last journal is known to be on disk. */
  #trusted: JournalEnd | undefined;

  constructor({ files, folder, owner }: JournalsPlace) {
    this.#files = files;
    this.#folder = folder;
    this.#owner = owner;
  }

  /** Bytes that recovery would replay. */
  get bytes(): number {
    return this.#earlierBytes + (this.#journal?.bytes ?? this.#end.bytes);
  }

  /** Whether what is on disk is not known: the files must be read again. */
  get failed(): boolean {
    return this.#failed;
  }

  /** How often that has happened: what was appended before and not flushed is given up. */
  get failures(): number {
    return this.#failures;
  }

  /** Whether everything appended here is on disk. */
  get isFlushed(): boolean {
    return !this.#failed && this.#journal?.isFlushed !== false && this.#folderSynced === this.#folderChanges;
  }

  /** A generation that no file has. */
  get nextGeneration(): number {
    return (this.#generations().at(-1) ?? -1) + 1;
  }

  #path(generation: number): string {
    return `${this.#folder}/${journalName(generation)}`;
  }

  #generations(): number[] {
    return generationsOf(reading(JournalDamage, () => this.#files.list(this.#folder)), journalName);
  }

  /** Whether nothing was appended since this generation was begun; false where the disk cannot tell. */
  isEmptySince(generation: number): boolean {
    try {
      if (this.#generations().at(-1) !== generation) return false;
      using reader = this.#files.read(this.#path(generation));
      return [FILE_HEADER_BYTES, journalHeader(generation, this.#owner).length].includes(reader.bytes);
    } catch {
      return false;
    }
  }

  /** Begins a journal; the one before must be finished. Throws and goes on with that one. */
  begin(generation: number, sequence: number): void {
    using unused = new DisposableStack();
    const file = unused.use(this.#files.create(this.#path(generation)));
    const journal = JournalWriter.begin(file, { generation, sequence, owner: this.#owner });
    this.#earlierBytes = this.bytes;
    this.#journal?.release();
    this.#journal = journal;
    this.#end = { generation, bytes: 0 };
    this.#sequence = sequence;
    this.#folderChanges += 1;
    unused.move();
  }

  /** Nothing reads the journals up to here any more. */
  forgetEarlier(): void {
    this.#earlierBytes = 0;
  }

  /** What was begun here is durable, and its own: no other process has written these files. */
  adopt(): void {
    this.#isForeign = false;
  }

  /** Reads all records from a generation on, in pieces. Throws {@link JournalDamage}, and what the disk throws. */
  *reading(from: number, onRecord: OnRecord): Generator<number, void> {
    const found = this.#generations().filter((generation) => generation >= from);
    const missing = found.findIndex((generation, index) => generation !== from + index);
    if (found.length === 0 || missing >= 0) {
      throw new JournalDamage(`The journal ${this.#path(from + Math.max(missing, 0))} is missing`);
    }
    let next: number | undefined, end: JournalEnd | undefined;
    let earlierBytes = 0, isTorn = false;
    for (const generation of found) {
      const path = this.#path(generation);
      const content = yield* this.#readingOne(generation, (record) => {
        if (next !== undefined && record.sequence !== next) {
          throw new JournalDamage(`${path} goes on at ${record.sequence}, must go on at ${next}`);
        }
        next = record.sequence + 1;
        return onRecord(record);
      });
      // The process died over beginning it, or could not.
      if (content.generation === undefined) continue;
      if (content.generation !== generation) {
        throw new JournalDamage(`The journal ${path} says that it is ${journalName(content.generation)}`);
      }
      if (isTorn) throw new JournalDamage(`The journal before ${path} ends early`);
      isTorn = content.torn;
      earlierBytes += end?.bytes ?? 0;
      end = { generation, bytes: content.bytes };
    }
    if (!end) throw new JournalDamage(`The journal ${this.#path(from)} has no beginning`);
    this.#end = end;
    this.#earlierBytes = earlierBytes;
    this.#unsynced = this.#isForeign
      ? [this.#folder, ...found.map((generation) => this.#path(generation))]
      : [];
  }

  /** Reads records again, from a generation on, while others may be appended. Throws as `reading`. */
  records(from: number, onRecord: (record: JournalRecord) => void): void {
    for (const generation of this.#generations()) {
      if (generation >= from) atOnce(this.#readingOne(generation, (record) => void onRecord(record)));
    }
  }

  *#readingOne(generation: number, onRecord: OnRecord): Generator<number, JournalContent> {
    const bytesMax = this.#trusted?.generation === generation ? this.#trusted.bytes : Infinity;
    // Not even its header: it is to be begun again, since what it holds may come to light after all.
    if (bytesMax === 0) return { generation, bytes: 0, torn: true };
    const path = this.#path(generation);
    const onOwner = ({ run, incarnation }: JournalOwner) => {
      if (run === this.#owner.run && incarnation === this.#owner.incarnation) return;
      throw new JournalDamage(
        `The journal ${path} belongs to the run "${run}" (${incarnation}), must belong to "${this.#owner.run}" ` +
          `(${this.#owner.incarnation})`,
      );
    };
    return yield* readingJournal(this.#files, path, onRecord, { bytesMax, onOwner });
  }

  /** Takes further changes after what was read; `sequence` is that of the next record. */
  resume(sequence: number): void {
    this.#sequence = sequence;
    if (this.#trusted) this.#cut(this.#trusted);
  }

  #resumeLast(sequence: number): JournalWriter {
    const { generation, bytes } = this.#end;
    using unused = new DisposableStack();
    const file = unused.use(this.#files.resume(this.#path(generation), bytes));
    const journal = bytes === 0
      ? JournalWriter.begin(file, { generation, sequence, owner: this.#owner })
      : JournalWriter.resume(file, sequence);
    unused.move();
    this.#trusted = undefined;
    return journal;
  }

  /** Appends a record. Throws storage_full or storage_failed: then nothing was appended, or `failed` is set. */
  append(kind: number, payload: readonly Uint8Array[]): void {
    if (this.#failed || this.#sequence === undefined) {
      throw storageError(new Error("The journal is not open"));
    }
    try {
      // Not before: many runs are only read, and a file that is open is one of few that a process may have.
      this.#journal ??= this.#resumeLast(this.#sequence);
      this.#journal.append(kind, payload);
    } catch (error) {
      throw this.#journal?.broken ? this.#fail(error) : storageError(error);
    }
  }

  /** Resolves when everything appended is on disk. Throws storage_full or storage_failed and sets `failed`. */
  async durable(): Promise<void> {
    const failures = this.#failures;
    if (this.#failed) throw storageError(new Error("An earlier flush failed"));
    try {
      for (const path of this.#unsynced) await this.#files.sync(path);
      this.#unsynced = [];
      this.#isForeign = false;
      await this.#journal?.durable();
      const changes = this.#folderChanges;
      if (this.#folderSynced < changes) await this.#files.sync(this.#folder);
      this.#folderSynced = Math.max(this.#folderSynced, changes);
    } catch (error) {
      throw failures === this.#failures ? this.#fail(error) : storageError(error);
    }
    // What was appended with ours was given up, and ours with it.
    if (failures !== this.#failures) throw storageError(new Error("Another flush failed meanwhile"));
  }

  /** Everything is on disk when the caller goes on, so that the next journal can be begun at once. */
  async finish(): Promise<void> {
    // A torn tail must go before there is a journal behind it.
    if (this.#sequence !== undefined) this.#journal ??= this.#resumeLast(this.#sequence);
    await this.durable();
  }

  /** The little that has come in since `finish`. */
  finishNow(): void {
    try {
      this.#journal?.flushNow();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  #fail(error: unknown): StepwellError {
    this.#failed = true;
    this.#failures += 1;
    if (this.#journal) {
      const { generation } = this.#end;
      this.#trusted = { generation, bytes: this.#journal.flushed };
      this.#cut(this.#trusted);
    }
    return storageError(error);
  }

  /** What was refused shall not come back after the next crash. While it cannot be cut off, nothing is appended. */
  #cut({ generation, bytes }: JournalEnd): void {
    try {
      this.#files.resume(this.#path(generation), bytes).release();
    } catch {
      return;
    }
  }

  /** Gives the files back. */
  close(): void {
    this.#journal?.release();
    this.#journal = undefined;
    this.#sequence = undefined;
    this.#failed = false;
  }
}

/** The generations of those `files` that `name` names, rising. */
export function generationsOf(files: readonly string[], name: (generation: number) => string): number[] {
  return files
    .flatMap((file) => {
      const generation = Number(/-(\d+)\./.exec(file)?.[1] ?? NaN);
      return file === name(generation) ? [generation] : [];
    })
    .sort((a, b) => a - b);
}
