/**
 * The start: folders and database are compared. The folders are the truth, the database is their index, which may be
 * older than they are, or have lost entries that were acknowledged.
 *
 * Invariant: nothing is removed but folders with a mark (marks.ts) and those whose successor's file says so. A folder
 * that says nothing goes to lost+found/.
 */
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { StepwellError } from "../errors.ts";
import type { Files } from "./files.ts";
import { type ConfigStore, CREATION_KEPT_MS, type RunRecord } from "./kv.ts";
import { freeName } from "./free_name.ts";
import { isMarked, mark, removeMarked } from "./marks.ts";
import { CheckedFileDamage } from "./checked_file.ts";
import type { Notice } from "./notice.ts";
import { readRunFile, type RunFile, writeRunFile } from "./run_file.ts";
import { storageError } from "./storage_error.ts";
import { tidy } from "./tidy.ts";

interface Places {
  readonly files: Files;
  readonly configs: ConfigStore;
  /** Folder that holds the runs' folders. */
  readonly folder: string;
}

interface Told {
  readonly notify: (notice: Notice) => void;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** The runs that there are, in order of creation. Throws storage_full, storage_failed. */
export async function reconcile(places: Places, { notify, now }: Told): Promise<RunRecord[]> {
  const known = new Map((await places.configs.runs()).map((record) => [record.incarnation, record]));
  const found = new Map<string, RunFile>();
  for (const incarnation of foldersOf(places)) {
    if (await removeIfMarked(places, incarnation, known.get(incarnation))) {
      known.delete(incarnation);
      continue;
    }
    const file = await look(places, incarnation, known.get(incarnation), notify);
    if (file) found.set(incarnation, file);
  }
  const chosen = await oneForEachId(places, found, { known, notify });
  const records: RunRecord[] = [];
  for (const file of chosen) {
    records.push(file.record);
    await index(places, file, { known: known.get(file.record.incarnation), notify, now });
  }
  const ids = new Set(records.map(({ id }) => id));
  for (const record of known.values()) {
    if (ids.has(record.id)) continue;
    const message = `The run "${record.id}" has no folder ${record.incarnation}: it is listed as damaged`;
    notify({ run: record.id, message });
    records.push(record);
  }
  return records.sort((a, b) => a.sequence - b.sequence);
}

function foldersOf({ files, folder }: Places): string[] {
  try {
    return files.list(folder);
  } catch (error) {
    throw storageError(error, "list the runs");
  }
}

/** Removes a folder whose mark says so, with its record: whether it had one. */
async function removeIfMarked(
  { files, configs, folder }: Places,
  incarnation: string,
  known: RunRecord | undefined,
): Promise<boolean> {
  const path = `${folder}/${incarnation}`;
  if (!isMarked(files, path)) return false;
  if (known) await configs.remove(known);
  await removeMarked(files, path).catch(() => {});
  return true;
}

/** What a folder says of its run; undefined where it says nothing and is laid aside. */
async function look(
  places: Places,
  incarnation: string,
  known: RunRecord | undefined,
  notify: (notice: Notice) => void,
): Promise<RunFile | undefined> {
  const { files, configs, folder } = places, path = `${folder}/${incarnation}`;
  let damage = "it has no run.json";
  try {
    const file = readRunFile(files, path);
    if (file?.record.incarnation === incarnation) {
      await tidy(files, path, file.record);
      return file;
    }
    if (file) damage = `its run.json is that of ${file.record.incarnation}`;
  } catch (error) {
    if (!(error instanceof CheckedFileDamage)) throw error;
    damage = error.message;
  }
  if (!known) {
    await layAside(places, incarnation, damage, notify);
    return undefined;
  }
  // A folder of before 2026-12, or one whose file was damaged: the database tells what it said.
  const file = { record: known, config: await configs.config(known) ?? "", sequence: 0 };
  try {
    await writeRunFile(files, path, file);
    await files.sync(path);
  } catch (error) {
    notify({ run: known.id, message: `Cannot write run.json of the run "${known.id}": ${messageOf(error)}` });
  }
  return file;
}

async function layAside(
  { files, folder }: Places,
  incarnation: string,
  why: string,
  notify: (notice: Notice) => void,
): Promise<void> {
  const lost = join(dirname(folder), "lost+found");
  try {
    await files.makeFolder(lost);
    const to = freeName(files, lost, incarnation);
    await files.moveFolder(`${folder}/${incarnation}`, `${lost}/${to}`);
    notify({ message: `The folder ${incarnation} was moved to lost+found/${to}: ${why}` });
  } catch (error) {
    notify({ message: `The folder ${incarnation} cannot be used (${why}) nor moved: ${messageOf(error)}` });
  }
}

/** Of folders with one id: the one that replaced the others, or that the database knows, or the youngest. */
async function oneForEachId(
  places: Places,
  found: ReadonlyMap<string, RunFile>,
  { known, notify }: { known: ReadonlyMap<string, RunRecord>; notify: (notice: Notice) => void },
): Promise<RunFile[]> {
  const { files, configs, folder } = places;
  const replaced = new Set([...found.values()].map(({ replaces }) => replaces));
  const chosen = new Map<string, RunFile>();
  for (const [incarnation, file] of found) {
    if (replaced.has(incarnation)) {
      // The process died between the new run and the removal of the old one.
      mark(files, `${folder}/${incarnation}`, "deleted");
      await removeMarked(files, `${folder}/${incarnation}`).catch(() => {});
      await configs.removeReplaced(file.record);
      continue;
    }
    const { id } = file.record, rival = chosen.get(id);
    if (!rival) {
      chosen.set(id, file);
      continue;
    }
    const rank = ({ record }: RunFile) => [Number(known.has(record.incarnation)), record.createdAt] as const;
    const [a, b] = [rank(file), rank(rival)];
    const isBetter = a[0] === b[0] ? a[1] > b[1] : a[0] > b[0];
    chosen.set(id, isBetter ? file : rival);
    const other = (isBetter ? rival : file).record.incarnation;
    await layAside(places, other, `another folder holds the run "${id}" too`, notify);
  }
  return [...chosen.values()];
}

/** Brings the database to what a folder says. */
async function index(
  { configs }: Places,
  { record, config, creation }: RunFile,
  { known, notify, now }: Told & { readonly known: RunRecord | undefined },
): Promise<void> {
  const isRemembered = !creation || creation.at < now - CREATION_KEPT_MS ||
    await configs.creation(creation.key) !== null;
  if (isDeepStrictEqual(known, record) && isRemembered) return;
  const message = known
    ? `The database had an older record of the run "${record.id}": it has that of the folder now`
    : `The database did not know the run "${record.id}": it was taken in from its folder ${record.incarnation}`;
  notify({ run: record.id, message });
  await configs.put(record, config, isRemembered ? undefined : creation);
}

function messageOf(error: unknown): string {
  if (error instanceof StepwellError) {
    return [error.message, ...error.issues.map((each) => each.message)].join("; ");
  }
  return error instanceof Error ? error.message : String(error);
}
