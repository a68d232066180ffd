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

/** Whether the folder may be removed: it has a mark, or nothing at all. */
export function isMarked(files: Files, folder: string): boolean {
  const names = files.list(folder);
  return names.length === 0 || names.some((name) => MARKS.includes(name));
}

/** Removes a marked folder. Its mark goes last: what is left of it after a crash is known by it. */
export async function removeMarked(files: Files, folder: string): Promise<void> {
  for (const name of files.list(folder)) if (!MARKS.includes(name)) await files.remove(`${folder}/${name}`);
  await files.sync(folder);
  await files.removeFolder(folder);
}

/** Removes what was made of a run that nobody was told of. */
export async function giveUp(files: Files, folder: string): Promise<void> {
  try {
    // First the mark: a folder that is removed in part must not be taken for a run.
    if (!isMarked(files, folder)) mark(files, folder, "deleted");
    await files.sync(folder);
    await removeMarked(files, folder);
  } catch {
    // What is left is removed at the next start, by its mark.
  }
}
