/**
 * Encodes a run's state as the bytes of a snapshot file, read directly from the run's memory.
 *
 * Invariant: the bytes show the state when the snapshot was begun, provided that `detach` is called before each
 * change of state and, if it returns false, all remaining pieces are written first.
 */
import type { Taken } from "../../store/snapshot_taker.ts";
import { encodeHeader } from "../../wire/safetensors_writer.ts";
import type { Spare } from "../tensors/memory.ts";
import type { CheckpointSource } from "./checkpoint.ts";

/** The longest piece. Writing one blocks the event loop. */
const PIECE_BYTES_MAX = 1024 ** 2;

/** With `spare`, memory for a copy, the first change waits until the unwritten bytes are copied, not written. */
export function takeSnapshot(
  source: Pick<CheckpointSource, "liveCheckpoint" | "describe">,
  spare?: Spare,
): Taken {
  const { version, sequence, tensors, metadata } = source.liveCheckpoint();
  const { bytes: header, ordered } = encodeHeader(
    tensors.map((tensor) => ({ ...tensor, values: tensor.view() })),
    metadata,
  );
  const bytes = ordered.reduce((sum, { values }) => sum + values.byteLength, 0);
  /** Count of the tensors' bytes that were yielded. */
  let taken = 0;
  let isDetached = false;

  /** Each piece must be written before anything else happens: memory that grows detaches its views. */
  function* pieces(): Generator<Uint8Array<ArrayBuffer>, void> {
    yield header;
    for (const { view } of ordered) {
      const start = taken, { byteLength } = view();
      while (taken < start + byteLength) {
        const at = taken, length = Math.min(PIECE_BYTES_MAX, start + byteLength - at);
        taken += length;
        yield isDetached
          ? (spare as Spare).view(at, length)
          : bytesOf(view()).subarray(at - start).subarray(0, length);
      }
    }
  }

  function detach(): boolean {
    if (isDetached) return true;
    if (!spare || spare.bytes < bytes) return false;
    isDetached = true;
    let start = 0;
    for (const { view } of ordered) {
      const rest = bytesOf(view()).subarray(Math.max(0, taken - start));
      const end = start + view().byteLength;
      spare.view(end - rest.length, rest.length).set(rest);
      start = end;
    }
    return true;
  }

  return {
    place: { version, sequence },
    pieces: pieces(),
    detach,
    config: JSON.stringify(source.describe()),
  };
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Touches the pages of new memory in small parts: page faults during the copy would cost more than the copy. */
export async function warm(spare: Spare): Promise<void> {
  for (let at = 0; at < spare.bytes; at += PIECE_BYTES_MAX) {
    spare.view(at, Math.min(PIECE_BYTES_MAX, spare.bytes - at)).fill(0);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}
