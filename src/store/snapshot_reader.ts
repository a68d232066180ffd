/** Reads snapshot files (snapshot_writer.ts has their names) in pieces, and tells damage from what is the moment's. */
import { crc32 } from "node:zlib";
import { atOnce } from "../slices.ts";
import type { Files } from "./files.ts";
import type { SnapshotRecord } from "./kv.ts";
import { snapshotName } from "./snapshot_writer.ts";
import { reading } from "./storage_error.ts";

/** Bytes that are read at a time, and how long a byte takes, in nanoseconds. */
const PIECE_BYTES = 1024 ** 2, BYTE_UNITS = 1;

/** A snapshot file that is not what was written, or not there. */
export class SnapshotDamage extends Error {
  override readonly name = "SnapshotDamage";
}

/** Uses a piece; may yield after each part of its work how long that took, in nanoseconds. */
type OnPiece = (piece: Uint8Array<ArrayBuffer>) => void | Generator<number, void>;

/** As {@link readingSnapshot}, at once. */
export function readSnapshot(
  files: Files,
  folder: string,
  snapshot: SnapshotRecord,
  onPiece: (piece: Uint8Array<ArrayBuffer>) => void,
): void {
  atOnce(readingSnapshot(files, folder, snapshot, (piece) => void onPiece(piece)));
}

/**
 * Hands out the bytes of a snapshot piece by piece. The checksum is known at the end only: nothing that was made of
 * the pieces may be used before this is done. Throws {@link SnapshotDamage}, storage_failed, and what `onPiece` throws.
 */
export function* readingSnapshot(
  files: Files,
  folder: string,
  { generation, bytes, crc32: wanted }: SnapshotRecord,
  onPiece: OnPiece,
): Generator<number, void> {
  const path = `${folder}/${snapshotName(generation)}`;
  using reader = reading(SnapshotDamage, () => files.read(path));
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
      const work = offence === undefined ? onPiece(piece) : undefined;
      if (work) yield* work;
    } catch (error) {
      offence = { error };
    }
    yield BYTE_UNITS * piece.length;
  }
  if (crc !== wanted) {
    throw new SnapshotDamage(`Cannot read the snapshot ${path}: its checksum does not fit`);
  }
  if (offence) throw offence.error;
}
