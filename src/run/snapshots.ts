/** A session's state as the bytes of a snapshot file. */
import type { Taken } from "../store/run_store.ts";
import { encodeHeader } from "../wire/safetensors_writer.ts";
import type { LiveCheckpoint } from "./checkpoint.ts";
import type { Session } from "./session.ts";

const PIECE_BYTES_MAX = 1024 ** 2;

/** What a snapshot holds. */
export interface SnapshotPlace {
  readonly version: number;
  /** Of the next change. */
  readonly sequence: number;
}

/**
 * The state as it is now, nothing of it copied: until the last piece is taken, whoever changes it or gives it up tells
 * the store before.
 */
export function takeSnapshot(session: Session): Taken {
  const checkpoint = session.liveCheckpoint();
  const config = JSON.stringify(session.describe());
  return { sequence: checkpoint.sequence, pieces: piecesOf(checkpoint), config };
}

/** Each piece is to be written before anything else happens: memory that grows takes views away. */
function* piecesOf({ tensors, metadata }: LiveCheckpoint): Generator<Uint8Array<ArrayBuffer>, void> {
  const { bytes, ordered } = encodeHeader(
    tensors.map((tensor) => ({ ...tensor, values: tensor.view() })),
    metadata,
  );
  yield bytes;
  for (const { view } of ordered) {
    for (let at = 0; at < view().byteLength; at += PIECE_BYTES_MAX) {
      const { buffer, byteOffset, byteLength } = view();
      yield new Uint8Array(buffer, byteOffset + at, Math.min(PIECE_BYTES_MAX, byteLength - at));
    }
  }
}
