/**
 * Encodes a run's state as the bytes of a snapshot file, read directly from the run's memory.
 *
 * Invariant: the bytes show the state when the snapshot was begun, provided that `detach` is called before each
 * change of state and, if it returns false, all remaining pieces are written first.
 */
import type { SnapshotOwner, Taken } from "../../store/snapshot_taker.ts";
import { OWNER, SAVED } from "./checkpoint_format.ts";
import { METADATA } from "../../wire/safetensors_header.ts";
import { framedParts, frameHeader } from "../../wire/safetensors_writer.ts";
import type { Spare } from "../tensors/memory.ts";
import type { CheckpointSource, LiveCheckpoint } from "./checkpoint.ts";
import { configJson, type PreparedSnapshot, type PreparedText, presentText } from "./prepared_snapshot.ts";
import { offsetOf } from "./run_layout.ts";
import { copyWords, wordsOf } from "../tensors/words.ts";

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
  const live = source.liveCheckpoint(), { version, sequence, state } = live;
  const text = presentText(state, live.saved, prepared?.text), { groups, dataBytes } = text.layout;
  const header = headerParts(live, text, owner);
  /** Count of the tensors' bytes that were yielded. */
  let taken = 0;
  let isDetached = false;

  /**
   * Each piece must be written before anything else happens: memory that grows detaches its views. Small tensors are
   * copied together.
   */
  function* pieces(): Generator<Uint8Array<ArrayBuffer>, void> {
    yield* header;
    if (isDetached) return yield* rest();
    const joined = new Int32Array(JOINED_BYTES / 4), joinedBytes = new Uint8Array(joined.buffer);
    let memory = wordsOf(state.arena), filled = 0;
    for (const { slot, variables } of groups) {
      for (const variable of variables) {
        const length = 4 * variable.count;
        if (filled > 0 && filled + length > JOINED_BYTES) {
          taken += filled;
          yield joinedBytes.subarray(0, filled);
          if (isDetached) return yield* rest();
          memory = wordsOf(state.arena);
          filled = 0;
        }
        if (length <= JOINED_BYTES) {
          copyWords(memory, offsetOf(variable, slot) / 4, {
            target: joined,
            to: filled / 4,
            count: variable.count,
          });
          filled += length;
          continue;
        }
        for (let at = 0; at < length;) {
          const count = Math.min(PIECE_BYTES_MAX, length - at);
          const piece = state.arena.u8(offsetOf(variable, slot) + at, count);
          at += count;
          taken += count;
          yield piece;
          if (isDetached) return yield* rest();
        }
        memory = wordsOf(state.arena);
      }
    }
    if (filled === 0) return;
    taken += filled;
    yield joinedBytes.subarray(0, filled);
  }

  /** What is left, from the copy, in which all tensors lie as in the file. */
  function* rest(): Generator<Uint8Array<ArrayBuffer>, void> {
    while (taken < dataBytes) {
      const piece = (spare as Spare).view(taken, Math.min(PIECE_BYTES_MAX, dataBytes - taken));
      taken += piece.length;
      yield piece;
    }
  }

  function detach(): boolean {
    if (isDetached) return true;
    if (!spare || spare.bytes < dataBytes) return false;
    isDetached = true;
    const view = spare.view(0, dataBytes), memory = wordsOf(state.arena);
    const target = new Int32Array(view.buffer, view.byteOffset, dataBytes / 4);
    let start = 0;
    for (const { slot, variables } of groups) {
      for (const variable of variables) {
        const end = start + 4 * variable.count, from = Math.max(start, taken);
        if (end > from) {
          const first = (offsetOf(variable, slot) + from - start) / 4;
          copyWords(memory, first, { target, to: from / 4, count: (end - from) / 4 });
        }
        start = end;
      }
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

const encoder = new TextEncoder();

/** The prefix and header of the file, in parts. */
function headerParts(
  { saved, remembered }: LiveCheckpoint,
  { layout: { entries }, tail }: PreparedText,
  owner: SnapshotOwner,
): Uint8Array<ArrayBuffer>[] {
  const head = JSON.stringify(saved.head).slice(0, -1);
  const others = JSON.stringify({ ...remembered, [OWNER]: JSON.stringify(owner) }).slice(1);
  const parts = [
    encoder.encode(`{"${METADATA}":{"format":"stepwell","${SAVED}":${head}`),
    ...tail,
    encoder.encode(`",${others}${entries.length > 0 ? "," : ""}`),
    ...entries,
    encoder.encode("}"),
  ];
  return entries.length > 1 ? framedParts(parts) : [frameHeader(...parts)];
}

/** Touches the pages of new memory in small parts: page faults during the copy would cost more than the copy. */
export async function warm(spare: Spare): Promise<void> {
  for (let at = 0; at < spare.bytes; at += PIECE_BYTES_MAX) {
    spare.view(at, Math.min(PIECE_BYTES_MAX, spare.bytes - at)).fill(0);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}
