/**
 * A checkpoint as a download, made of copies or of the snapshot on disk. The snapshot's header is rewritten without
 * what the run remembers of its answers. The tensors' bytes are unchanged, so the length is known before they are
 * read.
 *
 * Invariants: both ways give the same bytes; the file is closed after its last byte was read, or when it is released.
 */
import { releasable } from "../../releasable.ts";
import { SnapshotDamage } from "../../store/snapshot_reader.ts";
import type { SnapshotFile } from "../../store/snapshot_file.ts";
import { inSlices, nextTurn } from "../../slices.ts";
import { METADATA } from "../../wire/safetensors_header.ts";
import { encodingSafetensors, frameHeader, metadataEntry } from "../../wire/safetensors_writer.ts";
import type { CheckpointFile } from "../api/checkpoints.ts";
import { OWNER, savedVersion } from "./checkpoint_format.ts";
import { type OwnHeader, readingMetadata } from "./own_header.ts";
import { REMEMBERED } from "../answers/remembered.ts";
import type { CheckpointSource } from "./checkpoint.ts";

const PIECE_BYTES_MAX = 256 * 1024;
const BRACE = 0x7d, SPACE = 0x20;

/**
 * A download made of copies, which count against the memory bound until the last byte was read. Throws out_of_memory.
 */
export async function copiedFile(source: Pick<CheckpointSource, "checkpoint">): Promise<CheckpointFile> {
  const copy = source.checkpoint();
  const { version, tensors, metadata } = copy;
  const onEnd = () => copy.release();
  const { byteLength, body } = await inSlices(encodingSafetensors(tensors, { metadata, onEnd }));
  return {
    version,
    byteLength,
    body,
    ...releasable(() => {
      if (body instanceof ReadableStream) body.cancel();
    }),
  };
}

/**
 * A download made of a snapshot. Throws what SnapshotFile.next throws; then the snapshot is released. `onDamage` is
 * called if the snapshot turns out to be damaged while it is sent; then the body fails before its end.
 */
export async function savedFile(
  snapshot: SnapshotFile,
  onDamage: (error: SnapshotDamage) => void,
): Promise<CheckpointFile> {
  using unsent = new DisposableStack();
  unsent.use(snapshot);
  const { version, bytes: header } = await readHeader(snapshot);
  const pieces = piecesOf(snapshot, header);
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      try {
        const { value, done } = await pieces.next();
        if (!done) return controller.enqueue(value);
      } catch (error) {
        file.release();
        if (error instanceof SnapshotDamage) onDamage(error);
        throw error;
      }
      file.release();
      controller.close();
    },
    cancel: () => file.release(),
  }, { highWaterMark: 0 });
  unsent.move();
  const file = releasable(() => snapshot.release());
  return { version, byteLength: header.length + snapshot.left, body, ...file };
}

async function* piecesOf(snapshot: SnapshotFile, header: Uint8Array<ArrayBuffer>) {
  yield header;
  while (snapshot.left > 0) yield await snapshot.next(PIECE_BYTES_MAX);
}

async function readHeader(
  snapshot: SnapshotFile,
): Promise<{ version: number; bytes: Uint8Array<ArrayBuffer> }> {
  const prefix = await snapshot.next(8);
  const length = prefix.length < 8 ? NaN : Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (!(length <= snapshot.left)) throw snapshot.damage(`its header would have ${length} bytes`);
  const header = await snapshot.next(length);
  try {
    const { metadata: all, rest } = await inSlices(readingMetadata(header)) ?? readAtOnce(header);
    const metadata = Object.fromEntries(
      [...all].filter(([key]) => !REMEMBERED.includes(key) && key !== OWNER),
    );
    const version = savedVersion(metadata);
    await nextTurn();
    const first = new TextEncoder().encode(`{${metadataEntry(metadata)}`);
    return { version, bytes: frameHeader(first, rest.subarray(0, entriesEnd(rest))) };
  } catch (error) {
    throw snapshot.damage(`its header is invalid: ${error instanceof Error ? error.message : error}`);
  }
}

/** Where the entries end, before the padding. Throws if the header has not this end: its length is wrong. */
function entriesEnd(rest: Uint8Array): number {
  const end = 1 + rest.lastIndexOf(BRACE);
  if (rest[end - 2] === BRACE && rest.subarray(end).every((byte) => byte === SPACE)) return end;
  throw new Error("its entries have no end");
}

/** A header of another form than the one in which it is written today. */
function readAtOnce(header: Uint8Array): OwnHeader {
  const { [METADATA]: metadata = {}, ...entries } = JSON.parse(new TextDecoder().decode(header)) as Record<
    string,
    Record<string, string>
  >;
  const text = JSON.stringify(entries), comma = text === "{}" ? "" : ",";
  return {
    metadata: new Map(Object.entries(metadata)),
    rest: new TextEncoder().encode(`${comma}${text.slice(1)}`),
  };
}
