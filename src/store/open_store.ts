/**
 * The data folder: made when it is missing, locked against a second process, and brought together with its database.
 *
 *     lock          held for as long as the process lives; names the folder, and the database has the same name
 *     kv.sqlite     the runs' records, unless they are elsewhere
 *     runs/         a folder for each run
 *     reserve       room for a deletion on a full disk (room.ts)
 *     lost+found/   what could not be read at a start: never removed by the service
 *
 * Invariant: no run and no folder of one is removed here. What folder and database say of runs is compared by
 * reconcile.ts.
 */
import { dirname } from "node:path";
import { type Files, localFiles } from "./files.ts";
import { ConfigStore, type RunRecord } from "./kv.ts";
import type { Notice } from "./notice.ts";
import { Room } from "./room.ts";
import type { StoreParts } from "./run_store.ts";

interface StorePlace {
  readonly folder: string;
  /** A path or a URL; empty: a file in the folder. */
  readonly kv: string;
  readonly newId: () => string;
  /** Those of this machine if absent; the folder is theirs in any case. */
  readonly files?: Files;
  readonly notify?: (notice: Notice) => void;
}

const DATABASE = "kv.sqlite";

/** The database in the folder. One that cannot be read is moved to lost+found/: the folders know what it knew. */
async function openOwnDatabase(
  folder: string,
  { newId, notify }: Pick<Required<StorePlace>, "newId" | "notify">,
): Promise<ConfigStore> {
  const path = `${folder}/${DATABASE}`;
  try {
    const configs = await ConfigStore.open(path);
    try {
      await configs.runs();
      return configs;
    } catch (error) {
      configs.close();
      throw error;
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (!/not a database|malformed/.test(message)) throw error;
    const lost = `${folder}/lost+found/${newId()}`;
    await Deno.mkdir(lost, { recursive: true });
    for (const name of [...Deno.readDirSync(folder)].map(({ name }) => name)) {
      if (name.startsWith(DATABASE)) await Deno.rename(`${folder}/${name}`, `${lost}/${name}`);
    }
    notify({
      message: `The database was moved to ${lost}: ${message}. Its runs are read from their folders`,
    });
    return await ConfigStore.open(path);
  }
}

/** A database that answers nothing, or nothing that makes sense, is asked again and again by Deno. */
const ANSWER_SECONDS_MAX = 5;

/**
 * Opens the store. Throws with one line for the operator: not writable, in use by another process, newer format, a
 * database with other runs than the folder's, or that does not answer.
 */
export async function openStore(
  { folder, kv, newId, files = localFiles, notify = () => {} }: StorePlace,
): Promise<StoreParts> {
  const runs = `${folder}/runs`;
  await Deno.mkdir(runs, { recursive: true });
  const lock = await Deno.open(`${folder}/lock`, { create: true, read: true, write: true });
  if (!await lock.tryLock(true)) throw new Error("another process is using it");
  const configs = kv === ""
    ? await openOwnDatabase(folder, { newId, notify })
    : await answered(kv, ConfigStore.open(kv));
  const parts = { files, configs, folder: runs, room: new Room({ files, folder: runs }) };
  await join(lock, { ...parts, records: await configs.runs(), newId });
  await parts.room.reserve();
  // What was made above stands in these two; what is in them is durable when the first run is.
  await files.sync(folder);
  await syncParent(files, folder);
  return parts;
}

/** What a database answers within a time; what is wrong with one that is elsewhere is said of it by name. */
async function answered<T>(url: string, answer: Promise<T>): Promise<T> {
  if (!/^https?:/.test(url)) return await answer;
  const { promise: tooLate, reject } = Promise.withResolvers<never>();
  const late = new Error(`it has not answered within ${ANSWER_SECONDS_MAX} s`);
  const timer = setTimeout(() => reject(late), ANSWER_SECONDS_MAX * 1000);
  try {
    return await Promise.race([answer, tooLate]);
  } catch (error) {
    throw new Error(`its database ${url}: ${error instanceof Error ? error.message : error}`);
  } finally {
    clearTimeout(timer);
  }
}

/** The folder's own name; its parent may be one that the service is not let to read, and was there before it then. */
async function syncParent(files: Files, folder: string): Promise<void> {
  try {
    await files.sync(dirname(folder));
  } catch (error) {
    const isForbidden = error instanceof Deno.errors.NotCapable ||
      error instanceof Deno.errors.PermissionDenied;
    if (!isForbidden) throw error;
  }
}

/** Sees to it that folder and database go together: a database with other runs is a mistake, a new one is filled. */
async function join(
  lock: Deno.FsFile,
  { files, configs, folder, records, newId }: StoreParts & { records: readonly RunRecord[]; newId(): string },
): Promise<void> {
  const buffer = new Uint8Array(64);
  const own = new TextDecoder().decode(buffer.subarray(0, await lock.read(buffer) ?? 0));
  if (own === configs.folder) return;
  if (records.length > 0 || configs.folder !== null && files.list(folder).length > 0) {
    throw new Error("its runs are not those of the database; STEPWELL_KV must name the one that they are in");
  }
  // Not the name that the database has: another service, whose folder is empty too, may go by it.
  const name = newId();
  // The database last: as long as it has no name, or the folder no runs, a start that was cut short is repeated.
  await lock.truncate();
  await lock.seek(0, Deno.SeekMode.Start);
  await lock.write(new TextEncoder().encode(name));
  await lock.sync();
  await configs.setFolder(name);
}
