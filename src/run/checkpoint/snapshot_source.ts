/**
 * Encodes a run's state as the bytes of a snapshot file, read directly from the run's memory.
 *
 * Invariant: the bytes show the state when the snapshot was begun, provided that `detach` is called before each
 * change of state and, if it returns false, all remaining pieces are written first.
 */
import type { SnapshotOwner, Taken } from "../../store/snapshot_taker.ts";
import { OWNER } from "./checkpoint_format.ts";
import { atOnce } from "../../slices.ts";
import { elementCount } from "../../tensor.ts";
import { headerOf, layingOut } from "../../wire/safetensors_writer.ts";
import type { Spare } from "../tensors/memory.ts";
import type { CheckpointSource } from "./checkpoint.ts";
import { configJson, type PreparedSnapshot } from "./prepared_snapshot.ts";

/** The longest piece. Writing one blocks the event loop. */
const PIECE_BYTES_MAX = 1024 ** 2;
/** The longest tensor that is copied together with others. */
const JOINED_BYTES = 64 * 1024;

interface Taking {
  readonly owner: SnapshotOwner;
  /** Memory for a copy: the first change waits until the unwritten bytes are copied, not written. */
  readonly spare?: Spare | undefined;
  /** Saves time in this turn. */
  readonly prepared?: PreparedSnapshot | undefined;
}

export function takeSnapshot(
  source: Pick<CheckpointSource, "liveCheckpoint" | "describe">,
  { owner, spare, prepared }: Taking,
): Taken {
  const { version, sequence, tensors, size, metadata } = source.liveCheckpoint();
  const isPrepared = prepared?.layout.ordered.length === size;
  const layout = isPrepared ? prepared.layout : atOnce(layingOut(tensors())), { ordered } = layout;
  const header = headerOf(layout, { ...metadata, [OWNER]: JSON.stringify(owner) });
  const bytes = ordered.reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0);
  /** Count of the tensors' bytes that were yielded. */
  let taken = 0;
  let isDetached = false;

  /**
   * Each piece must be written before anything else happens: memory that grows detaches its views. Small tensors are
   * copied together.
   */
  function* pieces(): Generator<Uint8Array<ArrayBuffer>, void> {
    yield header;
    const joined = new Uint8Array(JOINED_BYTES);
    let start = 0, filled = 0;
    for (const { view, shape } of ordered) {
      const length = 4 * elementCount(shape);
      const read = (at: number, count: number) =>
        isDetached
          ? (spare as Spare).view(at, count)
          : bytesOf(view()).subarray(at - start).subarray(0, count);
      if (filled > 0 && filled + length > JOINED_BYTES) {
        taken += filled;
        yield joined.subarray(0, filled);
        filled = 0;
      }
      if (length <= JOINED_BYTES) {
        joined.set(read(start, length), filled);
        filled += length;
      } else {
        for (let at = start; at < start + length;) {
          const count = Math.min(PIECE_BYTES_MAX, start + length - at), piece = read(at, count);
          at += count;
          taken = at;
          yield piece;
        }
      }
      start += length;
    }
    if (filled === 0) return;
    taken += filled;
    yield joined.subarray(0, filled);
  }

  function detach(): boolean {
    if (isDetached) return true;
    if (!spare || spare.bytes < bytes) return false;
    isDetached = true;
    let start = 0;
    for (const { view, shape } of ordered) {
      const end = start + 4 * elementCount(shape);
      if (end > taken) {
        const rest = bytesOf(view()).subarray(Math.max(0, taken - start));
        spare.view(end - rest.length, rest.length).set(rest);
      }
      start = end;
    }
    return true;
  }

  return {
    place: { version, sequence },
    pieces: pieces(),
    detach,
    config: configJson(source.describe(), prepared),
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
