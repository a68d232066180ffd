/**
 * Snapshot files: a run's checkpoint as safetensors, written aside, flushed, renamed, its folder flushed.
 *
 *     snapshot-GENERATION.safetensors       (any safetensors reader opens it)
 *
 * The checksum of the whole file is kept elsewhere (kv.ts), so that the file stays plain safetensors. Invariant: a
 * file of this name is whole; what was being written when the process died has another name.
 */
import { crc32 } from "node:zlib";
import type { Files } from "./files.ts";
import type { SnapshotRecord } from "./kv.ts";
import { reading } from "./storage_error.ts";

/** Bytes that are written, or read, at a time; between them the event loop serves others. */
const PIECE_BYTES = 1024 ** 2;

export const snapshotName = (generation: number) => `snapshot-${generation}.safetensors`;
/** What a snapshot is called until it is whole. */
export const asideName = (generation: number) => `${snapshotName(generation)}.part`;

/**
 * The bytes of a snapshot. What an `Iterable` gives is written before anything else happens, so that it may be a view
 * of memory that grows; in pieces of one MiB at most then.
 */
export type Pieces = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Writes `pieces` as the snapshot of a generation; durable when this resolves. */
export async function writeSnapshot(
  files: Files,
  place: { folder: string; generation: number },
  pieces: Pieces,
): Promise<SnapshotRecord> {
  const path = `${place.folder}/${snapshotName(place.generation)}`;
  const aside = `${place.folder}/${asideName(place.generation)}`;
  await files.remove(aside).catch(() => {});
  const file = files.create(aside);
  let crc = 0;
  try {
    const write = async (piece: Uint8Array) => {
      for (let from = 0; from < piece.length; from += PIECE_BYTES) {
        const part = piece.subarray(from, from + PIECE_BYTES);
        file.append([part]);
        crc = crc32(part, crc);
        if (part.length === PIECE_BYTES) await yieldToOthers();
      }
    };
    if (Symbol.iterator in pieces) { for (const piece of pieces) await write(piece); }
    else for await (const piece of pieces) await write(piece);
    await file.sync();
    await files.rename(aside, path);
  } catch (error) {
    await files.remove(aside).catch(() => {});
    throw error;
  } finally {
    file.close();
  }
  await files.sync(place.folder);
  return { generation: place.generation, bytes: file.bytes, crc32: crc };
}

/** Lets requests that wait be served. */
function yieldToOthers(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** A snapshot file that is not what was written, or not there. */
export class SnapshotDamage extends Error {
  override readonly name = "SnapshotDamage";
}

/**
 * Hands out the bytes of a snapshot piece by piece. The checksum is known at the end only: nothing that was made of
 * the pieces may be used before this returns. Throws {@link SnapshotDamage}, storage_failed, and what `onPiece` throws.
 */
export function readSnapshot(
  files: Files,
  folder: string,
  { generation, bytes, crc32: wanted }: SnapshotRecord,
  onPiece: (piece: Uint8Array<ArrayBuffer>) => void,
): void {
  const path = `${folder}/${snapshotName(generation)}`;
  const reader = reading(SnapshotDamage, () => files.read(path));
  try {
    if (reader.bytes !== bytes) {
      throw new SnapshotDamage(
        `Cannot read the snapshot ${path}: it has ${reader.bytes} bytes, must have ${bytes}`,
      );
    }
    let crc = 0;
    let offence: { readonly error: unknown } | undefined;
    for (;;) {
      const piece = reading(SnapshotDamage, () => reader.next(PIECE_BYTES));
      if (piece.length === 0) break;
      crc = crc32(piece, crc);
      // Damaged bytes can offend whoever reads them before the checksum is known.
      try {
        if (offence === undefined) onPiece(piece);
      } catch (error) {
        offence = { error };
      }
    }
    if (crc !== wanted) {
      throw new SnapshotDamage(`Cannot read the snapshot ${path}: its checksum does not fit`);
    }
    if (offence) throw offence.error;
  } finally {
    reader.close();
  }
}
