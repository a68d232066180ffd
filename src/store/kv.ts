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
  readonly durability: "journal" | "snapshot";
  /** Newest first; the second is there for when the first is damaged. */
  readonly snapshots: readonly SnapshotRecord[];
}

/** Who a keyed creation created. */
export interface CreationRecord {
  readonly hash: string;
  readonly id: string;
  readonly body: string;
  readonly at: number;
}

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

  /** Writes a record; durable when this resolves. */
  async put(record: RunRecord): Promise<void> {
    await this.#kv.set(["run", record.id], record);
  }

  async remove(id: string): Promise<void> {
    await this.#kv.delete(["run", id]);
  }

  async creation(key: string): Promise<CreationRecord | null> {
    return (await this.#kv.get<CreationRecord>(["created", key])).value;
  }

  async putCreation(key: string, record: CreationRecord, expireIn: number): Promise<void> {
    await this.#kv.set(["created", key], record, { expireIn });
  }

  close(): void {
    this.#kv.close();
  }
}
