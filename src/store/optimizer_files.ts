/**
 * Registered optimizers: a file each, which is the truth, and a record in the database, which is the index.
 *
 *     optimizers/optimizer-SEQUENCE.json
 *
 * Invariant: an optimizer whose registration was acknowledged is in a file or in the database; if one of the two has
 * lost it, the start writes it again.
 */
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { CheckedFileDamage, readCheckedFile, writeCheckedFile } from "./checked_file.ts";
import type { Files } from "./files.ts";
import type { ConfigStore, OptimizerRecord } from "./kv.ts";
import type { Notice } from "./notice.ts";
import { storageError } from "./storage_error.ts";

interface Parts {
  readonly files: Files;
  readonly configs: ConfigStore;
  /** Folder that holds the runs' folders; that of the optimizers stands beside it. */
  readonly folder: string;
}

const fileName = (sequence: number) => `optimizer-${sequence}.json`;
const MEMBER = "optimizer";

export class OptimizerFiles {
  readonly #files: Files;
  readonly #configs: ConfigStore;
  readonly #folder: string;
  /** Sequence numbers by class_name. */
  readonly #sequences = new Map<string, number>();

  constructor({ files, configs, folder }: Parts) {
    this.#files = files;
    this.#configs = configs;
    this.#folder = join(dirname(folder), "optimizers");
  }

  /** All optimizers, in order of registration. Throws storage_full, storage_failed. */
  async open(notify: (notice: Notice) => void): Promise<OptimizerRecord[]> {
    const found = new Map<string, OptimizerRecord>();
    for (const record of await this.#configs.optimizers()) found.set(record.definition.class_name, record);
    const known = new Map(found);
    for (const record of await this.#read(notify)) found.set(record.definition.class_name, record);
    for (const [name, record] of found) {
      if (isDeepStrictEqual(known.get(name), record)) continue;
      notify({ message: `The database did not know the optimizer ${name}: it was read from its file` });
      await this.#configs.putOptimizer(record);
    }
    const records = [...found.values()].sort((a, b) => a.sequence - b.sequence);
    for (const { sequence, definition } of records) this.#sequences.set(definition.class_name, sequence);
    return records;
  }

  async #read(notify: (notice: Notice) => void): Promise<OptimizerRecord[]> {
    const files = this.#files, folder = this.#folder;
    try {
      await files.makeFolder(folder);
      const records: OptimizerRecord[] = [];
      for (const file of files.list(folder)) {
        if (!/^optimizer-\d+\.json$/.test(file)) continue;
        try {
          const record = readCheckedFile<OptimizerRecord>(files, { folder, file, member: MEMBER });
          if (record) records.push(record);
        } catch (error) {
          if (!(error instanceof CheckedFileDamage)) throw error;
          notify({ message: `The file of an optimizer is damaged: ${error.message}` });
        }
      }
      return records;
    } catch (error) {
      throw storageError(error, "read the optimizers");
    }
  }

  /** The optimizer is durable when this resolves. Throws storage_full, storage_failed. */
  async putOptimizer(record: OptimizerRecord): Promise<void> {
    const files = this.#files, folder = this.#folder, file = fileName(record.sequence);
    try {
      await files.makeFolder(folder);
      await writeCheckedFile(files, { folder, file, member: MEMBER }, record);
      await files.sync(folder);
      await this.#configs.putOptimizer(record);
    } catch (error) {
      // A refused registration leaves no file, as far as the disk allows.
      await files.remove(`${folder}/${file}`).catch(() => {});
      throw storageError(error);
    }
    this.#sequences.set(record.definition.class_name, record.sequence);
  }

  /** Throws storage_full, storage_failed, and then keeps the optimizer. */
  async removeOptimizer(className: string): Promise<void> {
    const sequence = this.#sequences.get(className);
    if (sequence !== undefined) await this.#removeFile(fileName(sequence));
    // If this fails, the record brings the optimizer back at the next start.
    await this.#configs.removeOptimizer(className);
    this.#sequences.delete(className);
  }

  async #removeFile(name: string): Promise<void> {
    try {
      // There is none if the optimizer was registered before 2026-12.
      if (!this.#files.list(this.#folder).includes(name)) return;
      await this.#files.remove(`${this.#folder}/${name}`);
      await this.#files.sync(this.#folder);
    } catch (error) {
      throw storageError(error);
    }
  }
}
