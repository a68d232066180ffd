/**
 * Room on the disk, and whether there is any: a reserve that a deletion may use when the disk is full, and what the
 * storage refused last.
 *
 *     reserve   a file of 1 MiB in the data folder
 *     probe     written and removed to find out whether the storage takes changes again
 */
import { dirname, join } from "node:path";
import { StepwellError } from "../errors.ts";
import type { Files } from "./files.ts";
import { storageError } from "./storage_error.ts";

const RESERVE_BYTES = 1024 ** 2;
/** Bytes of the smallest probe: a block. */
const PROBE_BYTES_MIN = 4096;
/** Bytes of the largest probe: of larger changes nothing is promised. */
const PROBE_BYTES_MAX = 4 * 1024 ** 2;

interface RoomPlace {
  readonly files: Files;
  /** Folder that holds the runs' folders; the files of this one stand beside it. */
  readonly folder: string;
}

export class Room {
  readonly #files: Files;
  readonly #reserve: string;
  readonly #probe: string;
  /** What was refused last, and how many bytes it had; undefined while the storage takes what it is given. */
  #refused: { readonly error: StepwellError; readonly bytes: number } | undefined;
  #isReserveMissing = false;
  #probing: Promise<void> | undefined;

  constructor({ files, folder }: RoomPlace) {
    this.#files = files;
    const parent = dirname(folder);
    this.#reserve = join(parent, "reserve");
    this.#probe = join(parent, "probe");
  }

  /** The storage has refused a change of this many bytes. Returns what to throw. */
  refused(cause: unknown, bytes = 0): StepwellError {
    const error = storageError(cause);
    if (error.code === "storage_full" || error.code === "storage_failed") this.#refused = { error, bytes };
    return error;
  }

  /** Why the storage refuses changes, found out anew by a small file; undefined when it takes them. */
  async trouble(): Promise<StepwellError | undefined> {
    if (!this.#refused) return undefined;
    this.#probing ??= this.#try().finally(() => this.#probing = undefined);
    await this.#probing;
    return this.#refused?.error;
  }

  async #try(): Promise<void> {
    const bytes = Math.min(Math.max(this.#refused?.bytes ?? 0, PROBE_BYTES_MIN), PROBE_BYTES_MAX);
    try {
      await this.#write(this.#probe, bytes);
      await this.#files.remove(this.#probe);
      this.#refused = undefined;
    } catch (error) {
      await this.#files.remove(this.#probe).catch(() => {});
      this.#refused = { error: storageError(error), bytes };
    }
  }

  async #write(path: string, bytes: number): Promise<void> {
    await this.#files.remove(path).catch(() => {});
    using file = this.#files.create(path);
    file.append([new Uint8Array(bytes)]);
    await file.sync();
  }

  /** Lays the reserve by. Where there is no room for it, `restore` tries again. */
  async reserve(): Promise<void> {
    this.#isReserveMissing = false;
    try {
      if (this.#files.list(dirname(this.#reserve)).includes("reserve")) return;
      await this.#write(this.#reserve, RESERVE_BYTES);
    } catch {
      this.#isReserveMissing = true;
      await this.#files.remove(this.#reserve).catch(() => {});
    }
  }

  /** Lays the reserve by again if it was used, or found no room. To be called when there may be room. */
  async restore(): Promise<void> {
    if (this.#isReserveMissing) await this.reserve();
  }

  /** Does something that makes room; on a full disk it has the reserve for that. */
  async withReserve<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (storageError(error).code !== "storage_full") throw error;
      await this.#files.remove(this.#reserve).catch(() => {});
      this.#isReserveMissing = true;
      return await act();
    }
  }
}
