/** A session's state as the bytes of a snapshot file. */
import type { Pieces } from "../store/run_store.ts";
import { encodeSafetensors } from "../wire/safetensors_writer.ts";
import type { Session } from "./session.ts";

/** The state as it is now, copied at once and written later. Throws out_of_memory. */
export function snapshotPieces(session: Session): Pieces {
  const { tensors, metadata, release } = session.checkpoint({ replies: true });
  const { body } = encodeSafetensors(tensors, { metadata, onEnd: release });
  if (!(body instanceof Uint8Array)) return body;
  release();
  return [body];
}
