/**
 * `run.json` in a run's folder: what is needed to list the run again when the database does not know it.
 *
 *     {"format": 1, "crc32": …, "run": {…}}      crc32 covers the JSON text of `run`
 *
 * Written aside, flushed and renamed, before the database is told. Invariant: a file that reads without damage is one
 * that was written whole.
 */
import { crc32 } from "node:zlib";
import type { Files } from "./files.ts";
import type { CreationRecord, RunRecord } from "./kv.ts";
import { reading } from "./storage_error.ts";

export const RUN_FILE = "run.json";
const ASIDE = `${RUN_FILE}.part`;
const FORMAT = 1;
/** Bytes of the longest file that is read: the config of a run with 100,000 variables has some 20 MB. */
const BYTES_MAX = 2 ** 28;

/** A run as its folder has it. */
export interface RunFile {
  readonly record: RunRecord;
  /** The run's config as JSON, as of its newest snapshot. */
  readonly config: string;
  /** The keyed request that created it. */
  readonly creation?: Required<CreationRecord>;
  /** The incarnation of the same id in whose place this one stands. */
  readonly replaces?: string;
  /** Of the next change when this file was written: the journals reach at least that far. */
  readonly sequence: number;
}

/** A file that is not what was written. */
export class RunFileDamage extends Error {
  override readonly name = "RunFileDamage";
}

/** Durable when this resolves, once the folder is synced too. Throws what the disk throws. */
export async function writeRunFile(files: Files, folder: string, run: RunFile): Promise<void> {
  const aside = `${folder}/${ASIDE}`;
  const text = JSON.stringify(run);
  const whole = `{"format":${FORMAT},"crc32":${crc32(text)},"run":${text}}\n`;
  await files.remove(aside).catch(() => {});
  using file = files.create(aside);
  file.append([new TextEncoder().encode(whole)]);
  await file.sync();
  await files.rename(aside, `${folder}/${RUN_FILE}`);
}

/** Undefined where there is none. Throws {@link RunFileDamage}, and storage_failed. */
export function readRunFile(files: Files, folder: string): RunFile | undefined {
  const path = `${folder}/${RUN_FILE}`;
  if (!reading(RunFileDamage, () => files.list(folder)).includes(RUN_FILE)) return undefined;
  using file = reading(RunFileDamage, () => files.read(path));
  if (file.bytes > BYTES_MAX) throw new RunFileDamage(`${path} has ${file.bytes} bytes`);
  const bytes = reading(RunFileDamage, () => file.next(file.bytes));
  return parse(path, new TextDecoder().decode(bytes));
}

function parse(path: string, text: string): RunFile {
  let json: { format?: unknown; crc32?: unknown; run?: unknown };
  try {
    json = JSON.parse(text);
  } catch {
    throw new RunFileDamage(`${path} is not JSON`);
  }
  if (json === null || json.crc32 !== crc32(JSON.stringify(json.run) ?? "")) {
    throw new RunFileDamage(`${path} does not fit its checksum`);
  }
  if (json.format !== FORMAT) {
    throw new RunFileDamage(`${path} has format ${json.format}, this program reads format ${FORMAT}`);
  }
  return json.run as RunFile;
}
