/**
 * The small records about runs, in Deno KV: which runs there are, and where their newest snapshots stand. Tensors
 * never come here, nor does anything that grows with a run: KV takes 64 KiB a value.
 *
 *     ["stepwell", "format"]   format version of everything here
 *     ["run", id]              RunRecord
 *     ["created", key]         what a keyed `POST /v1/runs` created
 *
 * Invariant: a run exists exactly when its record does; folders without one are leftovers.
 */

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
    await commit.commit();
  }

  async remove(id: string): Promise<void> {
    await this.#kv.delete(["run", id]);
  }

  async creation(key: string): Promise<CreationRecord | null> {
    return (await this.#kv.get<CreationRecord>(["created", key])).value;
  }

  close(): void {
    this.#kv.close();
  }
}
