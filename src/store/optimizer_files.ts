/**
 * Registered optimizers: a file each, which is the truth, and a record in the database, which is the index.
 *
 *     optimizers/optimizer-SEQUENCE.json
 *
 * Invariants: an optimizer whose registration was acknowledged is in a file or in the database; if one of the two has
 * lost it, the start writes it again. A file that cannot be read goes to lost+found/, never away.
 */
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { CheckedFileDamage, readCheckedFile, writeCheckedFile } from "./checked_file.ts";
import type { Files } from "./files.ts";
import type { ConfigStore, OptimizerRecord } from "./kv.ts";
import { freeName } from "./free_name.ts";
import type { Notice } from "./notice.ts";
import { storageError } from "./storage_error.ts";

interface Parts {
  readonly files: Files;
  readonly configs: ConfigStore;
  /** Folder that holds the runs' folders; that of the optimizers stands beside it. */
  readonly folder: string;
}

/** `more` makes a second name, for when the first is taken. */
const fileName = (sequence: number, more?: number) =>
  `optimizer-${sequence}${more === undefined ? "" : `-${more}`}.json`;
const MEMBER = "optimizer";

export class OptimizerFiles {
  readonly #files: Files;
  readonly #configs: ConfigStore;
  readonly #folder: string;
  /** The files that an optimizer is in, by class_name: more than one if somebody has put an older one back. */
  readonly #names = new Map<string, Set<string>>();

  constructor({ files, configs, folder }: Parts) {
    this.#files = files;
    this.#configs = configs;
    this.#folder = join(dirname(folder), "optimizers");
  }

  /** All optimizers, in order of registration. Throws storage_full, storage_failed. */
  async open(notify: (notice: Notice) => void): Promise<OptimizerRecord[]> {
    const known = new Map<string, OptimizerRecord>();
    for (const record of await this.#configs.optimizers()) known.set(record.definition.class_name, record);
    const found = new Map(known);
    for (const record of await this.#read(notify)) {
      // Of two that go by one name the later registration counts: the other was removed before it.
      const { class_name: name } = record.definition, rival = found.get(name);
      if (!rival || rival.sequence <= record.sequence) found.set(name, record);
    }
    for (const [name, record] of found) {
      if (!isDeepStrictEqual(known.get(name), record)) {
        notify({ message: `The database did not know the optimizer ${name}: it was read from its file` });
        await this.#configs.putOptimizer(record);
      }
      await this.#restore(record, notify);
    }
    return [...found.values()].sort((a, b) => a.sequence - b.sequence);
  }

  async #read(notify: (notice: Notice) => void): Promise<OptimizerRecord[]> {
    const files = this.#files, folder = this.#folder;
    try {
      await files.makeFolder(folder);
      const records: OptimizerRecord[] = [];
      for (const file of files.list(folder)) {
        if (!/^optimizer-\d+(-\d+)?\.json$/.test(file)) continue;
        try {
          const record = readCheckedFile<OptimizerRecord>(files, { folder, file, member: MEMBER });
          if (!record) continue;
          records.push(record);
          this.#note(record, file);
        } catch (error) {
          if (!(error instanceof CheckedFileDamage)) throw error;
          await this.#layAside(file, error.message, notify);
        }
      }
      return records;
    } catch (error) {
      throw storageError(error, "read the optimizers");
    }
  }

  #note({ definition }: OptimizerRecord, file: string): void {
    const names = this.#names.get(definition.class_name);
    if (names) names.add(file);
    else this.#names.set(definition.class_name, new Set([file]));
  }

  /** Writes the file of an optimizer that has none: one of before 2026-12, or one whose file was lost. */
  async #restore(record: OptimizerRecord, notify: (notice: Notice) => void): Promise<void> {
    const { class_name: name } = record.definition;
    if (this.#names.has(name)) return;
    try {
      await this.#write(record);
    } catch (error) {
      notify({ message: `Cannot write the file of the optimizer ${name}: ${messageOf(error)}` });
    }
  }

  /** Durable when this resolves. Throws what the disk throws. */
  async #write(record: OptimizerRecord): Promise<void> {
    const files = this.#files, folder = this.#folder;
    let file = fileName(record.sequence);
    // Its name may be taken by a file that was put there by mistake, and is another optimizer's now.
    for (let more = 1; files.list(folder).includes(file); more++) file = fileName(record.sequence, more);
    try {
      await writeCheckedFile(files, { folder, file, member: MEMBER }, record);
      await files.sync(folder);
      this.#note(record, file);
    } catch (error) {
      // A refused registration leaves no file, as far as the disk allows.
      await files.remove(`${folder}/${file}`).catch(() => {});
      throw error;
    }
  }

  async #layAside(file: string, why: string, notify: (notice: Notice) => void): Promise<void> {
    const files = this.#files, lost = join(dirname(this.#folder), "lost+found");
    try {
      await files.makeFolder(lost);
      const to = freeName(files, lost, file);
      await files.rename(`${this.#folder}/${file}`, `${lost}/${to}`);
      await files.sync(lost);
      await files.sync(this.#folder);
      notify({ message: `The file of an optimizer was moved to lost+found/${to}: ${why}` });
    } catch (error) {
      notify({
        message: `The file of an optimizer is damaged (${why}) and cannot be moved: ${messageOf(error)}`,
      });
    }
  }

  /** The optimizer is durable when this resolves. Throws storage_full, storage_failed. */
  async putOptimizer(record: OptimizerRecord): Promise<void> {
    try {
      await this.#files.makeFolder(this.#folder);
      await this.#write(record);
      await this.#configs.putOptimizer(record);
    } catch (error) {
      await this.#removeFiles(record.definition.class_name).catch(() => {});
      throw storageError(error);
    }
  }

  /** Throws storage_full, storage_failed, and then keeps the optimizer. */
  async removeOptimizer(className: string): Promise<void> {
    try {
      await this.#removeFiles(className);
    } catch (error) {
      throw storageError(error);
    }
    // If this fails, the record brings the optimizer back at the next start.
    await this.#configs.removeOptimizer(className);
  }

  async #removeFiles(className: string): Promise<void> {
    const files = this.#files, folder = this.#folder, names = this.#names.get(className);
    if (!names) return;
    for (const name of names) {
      if (files.list(folder).includes(name)) await files.remove(`${folder}/${name}`);
    }
    await files.sync(folder);
    this.#names.delete(className);
  }
}

const messageOf = (error: unknown) => error instanceof Error ? error.message : String(error);
