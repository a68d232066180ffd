/** A session's state as the bytes of a snapshot file. */
import type { Taken } from "../store/run_store.ts";
import { encodeSafetensors } from "../wire/safetensors_writer.ts";
import type { Session } from "./session.ts";

/** The state as it is now, copied at once and written later. Throws out_of_memory. */
export function takeSnapshot(session: Session): Taken {
  const { tensors, metadata, version, release } = session.checkpoint({ replies: true });
  try {
    const { body } = encodeSafetensors(tensors, { metadata });
    const pieces = body instanceof Uint8Array ? [body] : body;
    return { sequence: version, pieces, config: JSON.stringify(session.describe()), release };
  } catch (error) {
    release();
    throw error;
  }
}
