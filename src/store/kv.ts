/**
 * The small records about runs, in Deno KV: which runs there are, their configs, and where their newest snapshots
 * stand. Tensors never come here.
 *
 *     ["stepwell", "format"]       format version of everything here
 *     ["stepwell", "folder"]       name of the data folder whose runs these are (open_store.ts)
 *     ["run", id]                  RunRecord
 *     ["config", incarnation, n]   the run's config as JSON, as of the newest snapshot: part n of `configParts`
 *     ["optimizer", class_name]    OptimizerRecord
 *     ["created", key]             what a keyed `POST /v1/runs` created
 *     ["created at", at, key]      null: the keys of those in order of time, so that old ones are found
 *
 * Invariant: the records are the index of the folders (reconcile.ts). Once a database names another
 * folder nothing is written for this one any more. Methods throw storage_full or storage_failed.
 */
import { StepwellError } from "../errors.ts";
import { storageError } from "./storage_error.ts";

export const KV_FORMAT = 1;
const FOLDER = ["stepwell", "folder"];
/** UTF-16 units of a config in one value; KV takes 64 KiB a value. */
const PART_LENGTH = 16_000;
/** Values of one config; KV takes 800 KiB a commit. The config of a run with thousands of variables is not kept here. */
const PARTS_MAX = 20;

/** A finished snapshot file: what it must be like to be trusted. */
export interface SnapshotRecord {
  readonly generation: number;
  readonly bytes: number;
  readonly crc32: number;
}

export interface RunRecord {
  readonly id: string;
  /** The folder's name; a run created anew under the same id has another. */
  readonly incarnation: string;
  /** Order of creation. */
  readonly sequence: number;
  readonly createdAt: string;
  /** Newest first; the second is there for when the first is damaged. */
  readonly snapshots: readonly SnapshotRecord[];
  /** Values that the config takes; 0 when it is too long to be here. */
  readonly configParts: number;
  /** The class_name of its optimizer, where that is one that was registered. */
  readonly optimizer?: string;
}

/** An optimizer that was registered. */
export interface OptimizerRecord {
  /** Order of registration. */
  readonly sequence: number;
  /** The JSON that was registered. The store reads its name; the registry checks the rest. */
  readonly definition: { readonly class_name: string };
}

/** How many values a config takes, 0 for one that is too long. */
export function partsOf(config: string): number {
  const parts = Math.ceil(config.length / PART_LENGTH);
  return parts > PARTS_MAX ? 0 : parts;
}

function setConfig(
  commit: Deno.AtomicOperation,
  { incarnation, configParts }: RunRecord,
  config: string,
): Deno.AtomicOperation {
  for (let n = 0; n < configParts; n++) {
    commit.set(["config", incarnation, n], config.slice(n * PART_LENGTH, (n + 1) * PART_LENGTH));
  }
  return dropConfig(commit, incarnation, configParts);
}

/** Removes what an earlier, longer config has left, or all of it. */
function dropConfig(commit: Deno.AtomicOperation, incarnation: string, from = 0): Deno.AtomicOperation {
  for (let n = from; n < PARTS_MAX; n++) commit.delete(["config", incarnation, n]);
  return commit;
}

/** What a keyed creation was and got. */
export interface CreationRecord {
  readonly key: string;
  readonly hash: string;
  /** Of the run that it created. */
  readonly id: string;
  /** The answer's JSON; null where it is too long to keep. */
  readonly answer: string | null;
  /** When it was created, in milliseconds since 1970. Absent in records of before 2026-11, which KV itself lets expire. */
  readonly at?: number;
}

/** How long the key of a creation is kept, by the clock that the service is given. */
export const CREATION_KEPT_MS = 24 * 3600 * 1000;
/** Records of old creations that a new one removes: more than one, so that they become fewer. */
const REMOVED_AT_A_TIME = 16;
/** Characters of an answer that is kept; KV takes 64 KiB a value. */
export const ANSWER_LENGTH_MAX = 16_000;

export class ConfigStore {
  readonly #kv: Deno.Kv;
  /** The data folder's name as this service found, or set, it. */
  #folder: Deno.KvEntryMaybe<string>;

  private constructor(kv: Deno.Kv, folder: Deno.KvEntryMaybe<string>) {
    this.#kv = kv;
    this.#folder = folder;
  }

  /** Opens a database file or a KV Connect URL. Throws when its format is newer than this program. */
  static async open(path: string): Promise<ConfigStore> {
    using opened = new DisposableStack();
    const kv = opened.use(await Deno.openKv(path));
    const { value } = await kv.get<number>(["stepwell", "format"]);
    if (value !== null && value !== KV_FORMAT) {
      throw new Error(`the database has format ${value}, this program reads format ${KV_FORMAT}`);
    }
    if (value === null) await kv.set(["stepwell", "format"], KV_FORMAT);
    const folder = await kv.get<string>(FOLDER);
    opened.move();
    return new ConfigStore(kv, folder);
  }

  /** Name of the data folder that this database goes with. */
  get folder(): string | null {
    return this.#folder.value;
  }

  /** Makes the database this folder's: nothing is written for another one from now on. */
  async setFolder(name: string): Promise<void> {
    await this.#commit(this.#kv.atomic().set(FOLDER, name));
    this.#folder = await this.#kv.get<string>(FOLDER);
  }

  /** All run records, in order of creation. */
  async runs(): Promise<RunRecord[]> {
    const records: RunRecord[] = [];
    for await (const { value } of this.#kv.list<RunRecord>({ prefix: ["run"] }, { batchSize: 1000 })) {
      records.push(value);
    }
    return records.sort((a, b) => a.sequence - b.sequence);
  }

  /** Writes a record with its config, and with it who asked for the run; all durable when this resolves. */
  async put(record: RunRecord, config: string, creation?: Required<CreationRecord>): Promise<void> {
    const commit = this.#kv.atomic().set(["run", record.id], record);
    setConfig(commit, record, config);
    if (creation) await this.#setCreation(commit, creation);
    await this.#commit(commit);
  }

  async #setCreation(commit: Deno.AtomicOperation, creation: Required<CreationRecord>): Promise<void> {
    const { key, at } = creation;
    const old = { prefix: ["created at"], end: ["created at", at - CREATION_KEPT_MS] };
    const listed = Array.fromAsync(this.#kv.list(old, { limit: REMOVED_AT_A_TIME }));
    for (const { key: place } of await orStorageError(listed)) {
      const oldKey = place[2] as string;
      commit.delete(place);
      // The key may have been used again meanwhile.
      if ((await this.creation(oldKey))?.at === place[1]) commit.delete(["created", oldKey]);
    }
    commit.set(["created", key], creation).set(["created at", at, key], null);
  }

  /** Writes the next record of an incarnation, unless the run is gone or has another one: whether it was written. */
  async replace(record: RunRecord, config: string): Promise<boolean> {
    return await this.#ifCurrent(record, (commit, key) => setConfig(commit, record, config).set(key, record));
  }

  /** The config of a run as JSON, as of its newest snapshot; undefined when it is not here. */
  async config({ incarnation, configParts }: RunRecord): Promise<string | undefined> {
    if (configParts === 0) return undefined;
    const parts: string[] = [];
    for (let n = 0; n < configParts; n++) {
      const { value } = await orStorageError(this.#kv.get<string>(["config", incarnation, n]));
      if (value === null) return undefined;
      parts.push(value);
    }
    return parts.join("");
  }

  /** Removes the record of an incarnation, unless it is gone or another's. */
  async remove(record: RunRecord): Promise<void> {
    await this.#ifCurrent(record, (commit, key) => dropConfig(commit, record.incarnation).delete(key));
  }

  /** Removes what there is of an incarnation that another one has taken the place of. */
  async removeReplaced({ incarnation }: RunRecord): Promise<void> {
    await this.#commit(dropConfig(this.#kv.atomic(), incarnation));
  }

  /** Whether what the commit checks was so. */
  async #commit(commit: Deno.AtomicOperation): Promise<boolean> {
    const { ok } = await orStorageError(commit.check(this.#folder).commit());
    if (ok) return true;
    const { versionstamp } = await orStorageError(this.#kv.get(FOLDER));
    if (versionstamp === this.#folder.versionstamp) return false;
    throw new StepwellError(
      "storage_failed",
      "Cannot store the change: another service has made the database its own, must be one database a service",
    );
  }

  async #ifCurrent(
    { id, incarnation }: RunRecord,
    act: (commit: Deno.AtomicOperation, key: Deno.KvKey) => Deno.AtomicOperation,
  ): Promise<boolean> {
    for (;;) {
      const current = await orStorageError(this.#kv.get<RunRecord>(["run", id]));
      if (current.value?.incarnation !== incarnation) return false;
      if (await this.#commit(act(this.#kv.atomic().check(current), current.key))) return true;
    }
  }

  /** All registered optimizers, in order of registration. */
  async optimizers(): Promise<OptimizerRecord[]> {
    const records: OptimizerRecord[] = [];
    for await (const { value } of this.#kv.list<OptimizerRecord>({ prefix: ["optimizer"] })) {
      records.push(value);
    }
    return records.sort((a, b) => a.sequence - b.sequence);
  }

  async putOptimizer(record: OptimizerRecord): Promise<void> {
    await this.#commit(this.#kv.atomic().set(["optimizer", record.definition.class_name], record));
  }

  async removeOptimizer(className: string): Promise<void> {
    await this.#commit(this.#kv.atomic().delete(["optimizer", className]));
  }

  async creation(key: string): Promise<CreationRecord | null> {
    return (await orStorageError(this.#kv.get<CreationRecord>(["created", key]))).value;
  }

  close(): void {
    this.#kv.close();
  }
}

function orStorageError<T>(operation: Promise<T>): Promise<T> {
  return operation.catch((error) => {
    throw storageError(error);
  });
}
