/** A session's state as the bytes of a snapshot file. */
import type { Taken } from "../store/run_store.ts";
import { encodeHeader, encodeSafetensors } from "../wire/safetensors_writer.ts";
import type { LiveCheckpoint } from "./checkpoint.ts";
import type { Session } from "./session.ts";

const PIECE_BYTES_MAX = 1024 ** 2;

/** What a snapshot holds. */
export interface SnapshotPlace {
  readonly version: number;
  /** Of the next change. */
  readonly sequence: number;
}

/** The state as it is now, copied at once and written later. Throws out_of_memory. */
export function takeSnapshot(session: Session): Taken {
  const { tensors, metadata, release } = session.checkpoint({ replies: true });
  const { sequence } = session;
  try {
    const { body } = encodeSafetensors(tensors, { metadata });
    const pieces = body instanceof Uint8Array ? [body] : body;
    return { sequence, pieces, config: configOf(session), release };
  } catch (error) {
    release();
    throw error;
  }
}

/** The state of a session that nobody else has yet, and nobody changes: written from where it lies. */
export function firstSnapshot(session: Session): Taken {
  const checkpoint = session.liveCheckpoint();
  return {
    sequence: checkpoint.sequence,
    pieces: piecesOf(checkpoint),
    config: configOf(session),
    release: () => {},
  };
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

const configOf = (session: Session) => JSON.stringify(session.describe());
