/**
 * The small records about runs, in Deno KV: which runs there are, and where their newest snapshots stand. Tensors
 * never come here, nor does anything that grows with a run: KV takes 64 KiB a value.
 *
 *     ["stepwell", "format"]   format version of everything here
 *     ["run", id]              RunRecord
 *     ["created", key]         what a keyed `POST /v1/runs` created
 *
 *     ["stepwell", "folder"]   name of the data folder whose runs these are (open_store.ts)
 *
 * Invariant: a run exists exactly when its record does; folders without one are leftovers. Methods throw storage_full
 * or storage_failed.
 */
import { storageError } from "./storage_error.ts";

export const KV_FORMAT = 1;
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
}

/** What a keyed creation was and got. */
export interface CreationRecord {
  readonly key: string;
  readonly hash: string;
  /** Of the run that it created. */
  readonly id: string;
  /** The answer's JSON; null where it is too long to keep. */
  readonly answer: string | null;
}

/** How long the key of a creation is kept. */
const CREATION_KEPT_MS = 24 * 3600 * 1000;
/** Characters of an answer that is kept; KV takes 64 KiB a value. */
export const ANSWER_LENGTH_MAX = 16_000;

export class ConfigStore {
  readonly #kv: Deno.Kv;

  private constructor(kv: Deno.Kv) {
    this.#kv = kv;
  }

  /** Opens a database file or a KV Connect URL. Throws when its format is newer than this program. */
  static async open(path: string): Promise<ConfigStore> {
    const kv = await Deno.openKv(path);
    const { value } = await kv.get<number>(["stepwell", "format"]);
    if (value !== null && value !== KV_FORMAT) {
      kv.close();
      throw new Error(`the database has format ${value}, this program reads format ${KV_FORMAT}`);
    }
    if (value === null) await kv.set(["stepwell", "format"], KV_FORMAT);
    return new ConfigStore(kv);
  }

  /** Name of the data folder that this database goes with. */
  async folder(): Promise<string | null> {
    return (await this.#kv.get<string>(["stepwell", "folder"])).value;
  }

  async setFolder(name: string): Promise<void> {
    await this.#kv.set(["stepwell", "folder"], name);
  }

  /** All run records, in order of creation. */
  async runs(): Promise<RunRecord[]> {
    const records: RunRecord[] = [];
    for await (const { value } of this.#kv.list<RunRecord>({ prefix: ["run"] }, { batchSize: 1000 })) {
      records.push(value);
    }
    return records.sort((a, b) => a.sequence - b.sequence);
  }

  /** Writes a record, and with it who asked for the run; both durable when this resolves. */
  async put(record: RunRecord, creation?: CreationRecord): Promise<void> {
    const commit = this.#kv.atomic().set(["run", record.id], record);
    if (creation) commit.set(["created", creation.key], creation, { expireIn: CREATION_KEPT_MS });
    await orStorageError(commit.commit());
  }

  /** Writes the next record of an incarnation, unless the run is gone or has another one: whether it was written. */
  async replace(record: RunRecord): Promise<boolean> {
    return await this.#ifCurrent(record, (commit, key) => commit.set(key, record));
  }

  /** Removes the record of an incarnation, unless it is gone or another's. */
  async remove(record: RunRecord): Promise<void> {
    await this.#ifCurrent(record, (commit, key) => commit.delete(key));
  }

  async #ifCurrent(
    { id, incarnation }: RunRecord,
    act: (commit: Deno.AtomicOperation, key: Deno.KvKey) => Deno.AtomicOperation,
  ): Promise<boolean> {
    for (;;) {
      const current = await orStorageError(this.#kv.get<RunRecord>(["run", id]));
      if (current.value?.incarnation !== incarnation) return false;
      const { ok } = await orStorageError(act(this.#kv.atomic().check(current), current.key).commit());
      if (ok) return true;
    }
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
