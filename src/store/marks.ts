/**
 * Marks in a run's folder that say that it may be removed: `unfinished` while the run is being made and nobody was told
 * of it, `deleted` from the moment on at which its deletion was decided. Without one, a folder is never removed.
 */
import type { Files } from "./files.ts";

export type Mark = "unfinished" | "deleted";
const MARKS: readonly string[] = ["unfinished", "deleted"] satisfies Mark[];

/** Durable once the folder is synced. Throws what the disk throws. */
export function mark(files: Files, folder: string, name: Mark): void {
  if (files.list(folder).includes(name)) return;
  files.create(`${folder}/${name}`).release();
}

/** Durable when this resolves. */
export async function unmark(files: Files, folder: string, name: Mark): Promise<void> {
  if (files.list(folder).includes(name)) await files.remove(`${folder}/${name}`);
  await files.sync(folder);
}

/** Whether the folder may be removed. */
export function isMarked(files: Files, folder: string): boolean {
  return files.list(folder).some((name) => MARKS.includes(name));
}
