/**
 * The data folder: made when it is missing, locked against a second process, swept of leftovers.
 *
 *     lock        held for as long as the process lives
 *     kv.sqlite   the runs' records, unless they are elsewhere
 *     runs/       a folder for each run
 */
import { localFiles } from "./files.ts";
import { ConfigStore } from "./kv.ts";
import type { StoreParts } from "./run_store.ts";

/** Opens the store. Throws with one line for the operator: not writable, in use by another process, newer format. */
export async function openStore({ folder, kv }: { folder: string; kv: string }): Promise<StoreParts> {
  const runs = `${folder}/runs`;
  await Deno.mkdir(runs, { recursive: true });
  const lock = await Deno.open(`${folder}/lock`, { create: true, write: true });
  if (!await lock.tryLock(true)) throw new Error("another process is using it");
  const configs = await ConfigStore.open(kv === "" ? `${folder}/kv.sqlite` : kv);
  const known = new Set((await configs.runs()).map(({ incarnation }) => incarnation));
  for (const name of localFiles.list(runs)) {
    // Of runs that were being made, or deleted, when the process died.
    if (!known.has(name)) await localFiles.removeFolder(`${runs}/${name}`);
  }
  return { files: localFiles, configs, folder: runs };
}
