/** Opens a run from its files: the newest good snapshot, then the changes since. */
import { StepwellError } from "../errors.ts";
import type { Files } from "./files.ts";
import type { JournalChain } from "./journal_chain.ts";
import { JournalDamage, type OnRecord } from "./journal_reader.ts";
import type { JournalOwner } from "./journal_writer.ts";
import type { SnapshotRecord } from "./kv.ts";
import { readingSnapshot, SnapshotDamage } from "./snapshot_reader.ts";
import type { SnapshotOwner } from "./snapshot_taker.ts";

/**
 * What is made of the files of a run that is opened. Work that may be long yields after each piece of it how long that
 * took, in nanoseconds.
 */
export interface Rebuild {
  /** Called for the newest snapshot, and for the one before if that turns out to be damaged. */
  onSnapshot(owner: SnapshotOwner): {
    write(piece: Uint8Array<ArrayBuffer>): Generator<number, void>;
    /** Gives the sequence number of the next change. */
    close(): { readonly sequence: number };
  };
  readonly onRecord: OnRecord;
}

export interface OpenFiles {
  readonly files: Files;
  readonly folder: string;
  readonly owner: JournalOwner;
  readonly journals: JournalChain;
  /** The newest first. */
  readonly snapshots: readonly SnapshotRecord[];
  /** Sequence number that the journals must reach. */
  readonly sequence: number;
}

/**
 * In pieces. Returns the snapshots without those that turned out to be damaged: they are no help when the next one is. Throws
 * run_damaged, and what the disk throws.
 */
export function* openingFiles(
  parts: OpenFiles,
  rebuild: Rebuild,
): Generator<number, readonly SnapshotRecord[]> {
  const damages: string[] = [];
  for (const [index, snapshot] of parts.snapshots.entries()) {
    try {
      yield* openingFrom(snapshot, parts, rebuild);
      return parts.snapshots.slice(index);
    } catch (error) {
      if (!(error instanceof SnapshotDamage || error instanceof JournalDamage)) throw error;
      damages.push(error.message);
      // An older snapshot helps against a damaged snapshot only: it needs the same journals, and more.
      if (error instanceof JournalDamage) break;
    }
  }
  throw new StepwellError(
    "run_damaged",
    `Cannot open the run "${parts.owner.run}": its files are damaged (${damages.length} found)`,
    damages.map((message) => ({ path: "run", message })),
  );
}

function* openingFrom(
  snapshot: SnapshotRecord,
  parts: OpenFiles,
  rebuild: Rebuild,
): Generator<number, void> {
  const { files, folder, owner, journals } = parts;
  const sink = rebuild.onSnapshot({ ...owner, generation: snapshot.generation });
  yield* readingSnapshot(files, folder, snapshot, (piece) => sink.write(piece));
  let { sequence } = sink.close();
  yield* journals.reading(snapshot.generation, (record) => {
    sequence = record.sequence + 1;
    return rebuild.onRecord(record);
  });
  if (sequence >= parts.sequence) return;
  throw new JournalDamage(
    `The journals in ${folder} end before change ${sequence}, must reach change ${parts.sequence}`,
  );
}
