/**
 * Small JSON files with a checksum.
 *
 *     {"format": 1, "crc32": …, NAME: …}      crc32 covers the JSON text of the value
 *
 * They are written aside, flushed and renamed. Invariant: a file that reads without damage was written completely.
 */
import { crc32 } from "node:zlib";
import { atOnce, nextTurn } from "../slices.ts";
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

/** Longer values are written in several turns. How long it takes to read, decode or parse a byte, in nanoseconds. */
const LONG_LENGTH_MIN = 1024 ** 2, BYTE_UNITS = 2;

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
  const aside = `${folder}/${name}.part`, json = JSON.stringify(value);
  const isLong = json.length > LONG_LENGTH_MIN;
  if (isLong) await nextTurn();
  const text = encoder.encode(json);
  if (isLong) await nextTurn();
  const start = encoder.encode(startText(member, crc32(text)));
  await files.remove(aside).catch(() => {});
  {
    using file = files.create(aside);
    file.append([start, text, END]);
    await file.sync();
  }
  await files.rename(aside, `${folder}/${name}`);
}

/** As {@link readingCheckedFile}, at once. */
export function readCheckedFile<T>(files: Files, place: Place): T | undefined {
  return atOnce(readingCheckedFile<T>(files, place));
}

/** In pieces. Returns undefined if there is no such file. Throws {@link CheckedFileDamage} and storage_failed. */
export function* readingCheckedFile<T>(
  files: Files,
  { folder, file: name, member }: Place,
): Generator<number, T | undefined> {
  const path = `${folder}/${name}`;
  if (!reading(CheckedFileDamage, () => files.list(folder)).includes(name)) return undefined;
  using file = reading(CheckedFileDamage, () => files.read(path));
  if (file.bytes > BYTES_MAX) throw new CheckedFileDamage(`${path} has ${file.bytes} bytes`);
  const bytes = reading(CheckedFileDamage, () => file.next(file.bytes));
  let json: Readonly<Record<string, unknown>> | null;
  yield BYTE_UNITS * bytes.length;
  try {
    const text = new TextDecoder().decode(bytes);
    yield BYTE_UNITS * bytes.length;
    json = JSON.parse(text);
  } catch {
    throw new CheckedFileDamage(`${path} is not JSON`);
  }
  yield BYTE_UNITS * bytes.length;
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
