/**
 * Recovers a run from its files, in pieces: reads the newest good snapshot, then replays every change since with the code that
 * made it.
 *
 * Invariant: a recovered run equals, bit for bit, the run of a process that never died.
 */
import { isDeepStrictEqual } from "node:util";
import type { Runner } from "../../../kernels/compiler/runner.ts";
import { type ErrorCode, StepwellError } from "../../errors.ts";
import { JournalDamage } from "../../store/journal_reader.ts";
import type { RunStore } from "../../store/run_store.ts";
import type { SnapshotOwner, SnapshotPlace } from "../../store/snapshot_taker.ts";
import { SnapshotDamage } from "../../store/snapshot_reader.ts";
import { atOnce } from "../../slices.ts";
import { tensorFileReader } from "../../wire/tensor_file.ts";
import type { TensorTarget } from "../../tensor.ts";
import { replaying } from "../journal/replay.ts";
import { OWNER } from "../checkpoint/checkpoint_format.ts";
import { CheckpointReader } from "../checkpoint/checkpoint_reader.ts";
import { layingOutRun } from "../checkpoint/run_layout.ts";
import { areEntries, readingMetadata } from "../checkpoint/own_header.ts";
import type { Memory } from "../tensors/memory.ts";
import type { Optimizers } from "./optimizers.ts";
import { readRemembered, type Remembered } from "../answers/remembered.ts";
import { Session } from "../session/session.ts";

/** Thousands of variables or of keyed answers make a long header. This is about the longest string of V8. */
const HEADER_BYTES_MAX = 2 ** 29;

export interface RecoverParts {
  readonly store: RunStore;
  readonly memory: Memory;
  readonly optimizers: Optimizers;
  readonly runner: Runner;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Reads a run, in pieces. Throws run_damaged, out_of_memory; then it leaves nothing in memory. The same if it is not read
 * to the end.
 */
export function* recovering(parts: RecoverParts): Generator<number, Session> {
  const { store } = parts;
  let snapshot: SnapshotPlace = { version: 0, sequence: 0 };
  let remembered: Remembered | undefined;
  let reader: CheckpointReader | undefined;
  let session: Session | undefined;
  let isDone = false;
  const abandon = () => {
    session?.close();
    reader?.release();
    session = undefined;
    reader = undefined;
  };
  try {
    yield* store.opening({
      onSnapshot: (owner) => {
        abandon();
        const begun = (metadata: ReadonlyMap<string, string>) => {
          checkOwner(metadata, owner);
          remembered = readRemembered(metadata);
          return CheckpointReader.opening(parts, metadata, { isOwn: true });
        };
        const file = tensorFileReader(later(() => reader), {
          headerBytesMax: HEADER_BYTES_MAX,
          *recall(header) {
            const own = yield* readingMetadata(header);
            if (!own) return undefined;
            const made = reader = yield* begun(own.metadata);
            const layout = yield* layingOutRun(made.state);
            return areEntries(own.rest, layout) ? made.wholeIn(layout) : undefined;
          },
          onMetadata: (metadata) => void (reader ??= atOnce(begun(metadata))),
        });
        return {
          write: (piece) => believing(SnapshotDamage, file.writing(piece)),
          close: () =>
            believed(SnapshotDamage, () => {
              file.close();
              session = begin(reader as CheckpointReader, remembered as Remembered, parts);
              snapshot = { version: session.version, sequence: session.sequence };
              reader = undefined;
              return snapshot;
            }),
        };
      },
      onRecord: (record) => {
        const { sequence } = session as Session;
        if (record.sequence !== sequence) {
          throw new JournalDamage(`Record ${record.sequence} of the journal meets a run at ${sequence}`);
        }
        return believing(JournalDamage, replaying(session as Session, record));
      },
    });
    const recovered = session as Session | undefined;
    if (!recovered) throw new Error("A run without a snapshot was opened");
    store.resume({ sequence: recovered.sequence, snapshot });
    isDone = true;
    return recovered;
  } finally {
    if (!isDone) abandon();
  }
}

/** Errors that may pass: they do not mean that the files are damaged. */
const PASSING: ReadonlySet<ErrorCode> = new Set(["out_of_memory", "storage_failed"]);

/** Data that was accepted once is accepted again, if it can be read and fits in memory. Any other error is damage. */
function believed<T>(Damage: DamageClass, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw disbelief(Damage, error);
  }
}

/** As {@link believed}, of work in pieces. */
function* believing<T>(Damage: DamageClass, work: Generator<number, T>): Generator<number, T> {
  try {
    return yield* work;
  } catch (error) {
    throw disbelief(Damage, error);
  }
}

type DamageClass = typeof SnapshotDamage | typeof JournalDamage;

function disbelief(Damage: DamageClass, error: unknown): unknown {
  if (error instanceof StepwellError && PASSING.has(error.code)) return error;
  return new Damage(error instanceof Error ? error.message : String(error), { cause: error });
}

/** Another run's snapshot, or another generation of this one, is none of what is to be read. */
function checkOwner(metadata: ReadonlyMap<string, string>, owner: SnapshotOwner): void {
  const found = metadata.get(OWNER);
  // Snapshots of before 2026-12 do not say.
  if (found === undefined || isDeepStrictEqual(JSON.parse(found), owner)) return;
  throw new SnapshotDamage(`The snapshot belongs to ${found}, must belong to ${JSON.stringify(owner)}`);
}

function begin(
  reader: CheckpointReader,
  remembered: Remembered,
  { store, memory, runner, now }: RecoverParts,
): Session {
  reader.finish();
  const { id, createdAt } = store.record;
  const { spec, state, version, sequence, round } = reader;
  return new Session({
    id,
    spec,
    state,
    memory,
    runner,
    now,
    createdAt,
    version,
    sequence,
    round,
    ...remembered,
    records: (onRecord) => store.records(onRecord),
  });
}

/** A target that stands for the reader, which does not exist until the metadata, which come first, have been read. */
function later(reader: () => CheckpointReader | undefined): TensorTarget {
  const target = () => {
    const found = reader();
    if (!found) throw new Error("The snapshot has no metadata");
    return found;
  };
  return {
    dense: (name, tensor) => target().dense(name, tensor),
    sparse: (name) => target().sparse(name),
    none: (name) => target().none(name),
  };
}
