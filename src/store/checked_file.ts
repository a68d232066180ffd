/**
 * Small JSON files with a checksum.
 *
 *     {"format": 1, "crc32": …, NAME: …}      crc32 covers the JSON text of the value
 *
 * They are written aside, flushed and renamed. Invariant: a file that reads without damage was written completely.
 */
import { crc32 } from "node:zlib";
import type { Files } from "./files.ts";
import { reading } from "./storage_error.ts";

const FORMAT = 1;
/** Bytes of the longest file that is read: the config of a run with 100,000 variables has some 20 MB. */
const BYTES_MAX = 2 ** 28;

/** A file whose bytes are not those that were written. */
export class CheckedFileDamage extends Error {
  override readonly name = "CheckedFileDamage";
}

interface Place {
  readonly folder: string;
  /** Of the file. */
  readonly file: string;
  /** Of the value in the file. */
  readonly member: string;
}

const encoder = new TextEncoder();
const startText = (member: string, crc: unknown) =>
  `{"format":${FORMAT},"crc32":${crc},${JSON.stringify(member)}:`;
const END = encoder.encode("}\n");

/** The file is durable once its folder is synced too. Throws what the disk throws. */
export async function writeCheckedFile(
  files: Files,
  { folder, file: name, member }: Place,
  value: unknown,
): Promise<void> {
  const aside = `${folder}/${name}.part`, text = encoder.encode(JSON.stringify(value));
  const start = encoder.encode(startText(member, crc32(text)));
  await files.remove(aside).catch(() => {});
  {
    using file = files.create(aside);
    file.append([start, text, END]);
    await file.sync();
  }
  await files.rename(aside, `${folder}/${name}`);
}

/** Returns undefined if there is no such file. Throws {@link CheckedFileDamage} and storage_failed. */
export function readCheckedFile<T>(files: Files, { folder, file: name, member }: Place): T | undefined {
  const path = `${folder}/${name}`;
  if (!reading(CheckedFileDamage, () => files.list(folder)).includes(name)) return undefined;
  using file = reading(CheckedFileDamage, () => files.read(path));
  if (file.bytes > BYTES_MAX) throw new CheckedFileDamage(`${path} has ${file.bytes} bytes`);
  const bytes = reading(CheckedFileDamage, () => file.next(file.bytes));
  let json: Readonly<Record<string, unknown>> | null;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new CheckedFileDamage(`${path} is not JSON`);
  }
  const value = json?.[member], start = startText(member, json?.["crc32"]).length;
  // As it was written; otherwise as it would be written.
  const isWhole = value !== undefined && (json?.["crc32"] === crc32(bytes.subarray(start, -END.length)) ||
    json?.["crc32"] === crc32(JSON.stringify(value)));
  if (!json || !isWhole) {
    throw new CheckedFileDamage(`${path} does not fit its checksum`);
  }
  if (json["format"] !== FORMAT) {
    throw new CheckedFileDamage(`${path} has format ${json["format"]}, this program reads format ${FORMAT}`);
  }
  return value as T;
}
