/**
 * Restores runs from uploaded checkpoints: builds a new run beside the old one and then replaces it in one turn.
 *
 * Invariant: the old run stays as it is until the new one is on disk. It may leave memory meanwhile: the data that
 * the new run continues from are read at the beginning, and again if the old run has changed.
 */
import type { Runner } from "../../../kernels/compiler/runner.ts";
import { releasable } from "../../releasable.ts";
import type { Restoration } from "../api/checkpoints.ts";
import type { RunDescription } from "../api/run_description.ts";
import type { ChangeAnswer, KeyUse } from "../api/steps.ts";
import { checkingHeaderBytes } from "../checkpoint/header_size.ts";
import { areEntries, readingMetadata } from "../checkpoint/own_header.ts";
import { layingOutRun } from "../checkpoint/run_layout.ts";
import { CheckpointReader } from "../checkpoint/checkpoint_reader.ts";
import type { Creator } from "./creator.ts";
import type { RunEntry } from "./run_entry.ts";
import type { RunTable } from "./run_table.ts";
import type { Memory } from "../tensors/memory.ts";
import type { Optimizers } from "./optimizers.ts";
import type { Replies } from "../answers/replies.ts";
import { assertStepCost } from "../step/step_cost.ts";
import { optimizersOf } from "../spec/spec.ts";
import { Session } from "../session/session.ts";

interface RestorerParts {
  readonly table: RunTable;
  readonly creator: Creator;
  readonly memory: Memory;
  readonly optimizers: Optimizers;
  readonly runner: Runner;
  readonly now: () => Date;
}

export class Restorer {
  readonly #parts: RestorerParts;

  constructor(parts: RestorerParts) {
    this.#parts = parts;
  }

  restore(id: string): Restoration {
    const { table, memory, optimizers } = this.#parts;
    let reader: CheckpointReader | undefined;
    let past: Past | undefined;
    const held = new DisposableStack();
    const look = () => past = this.#look(id, past);
    const current = async () => {
      while (!this.#isKnown(id, past)) await table.open(id);
      return look();
    };
    const beginning = function* (metadata: ReadonlyMap<string, string>) {
      const opening = CheckpointReader.opening({ memory, optimizers }, metadata, { isOwn: false });
      // The old run may leave memory if the new one does not fit beside it.
      const begun = yield* table.whileEvictable(id, opening);
      if (held.disposed) {
        begun.release();
        throw new Error("The upload was released while it began");
      }
      reader = begun;
      held.defer(() => {
        reader?.release();
        reader = undefined;
      });
      // In the same turn, because it could be removed before the next one.
      held.use(optimizers.retain(begun.spec.optimizer.member.class_name));
      yield* checkingHeaderBytes(begun.spec);
      return begun;
    };
    const recall = function* (header: Uint8Array) {
      const own = yield* readingMetadata(header, { isStrict: true });
      if (!own) return undefined;
      const begun = yield* beginning(own.metadata), layout = yield* layingOutRun(begun.state);
      return areEntries(own.rest, layout) ? begun.wholeIn(layout) : undefined;
    };
    return {
      current,
      recall,
      *begin(metadata) {
        const begun = reader ?? (yield* beginning(metadata));
        yield* begun.expecting();
        return begun;
      },
      earlier: (use) => (this.#isKnown(id, past) ? look() : past)?.replies.find<ChangeAnswer>(use),
      commit: async (key) => {
        if (!reader) throw new Error("Nothing has been read yet");
        reader.finish();
        // This comes first: a stored run whose optimizer is not registered could not be read again.
        const { definition } = reader.spec.optimizer.member;
        if (definition) await optimizers.register(definition);
        while (!this.#isKnown(id, past)) await table.open(id);
        return await this.#replace(id, {
          reader,
          past: look(),
          kept: () => reader = undefined,
          key,
        });
      },
      ...releasable(() => held.dispose()),
    };
  }

  /** Whether the data of the run with this id are at hand. Otherwise the run must be opened. */
  #isKnown(id: string, past: Past | undefined): boolean {
    const { table } = this.#parts;
    const entry = table.at(id);
    return !entry || isUnchanged(entry, past) || table.present(id) !== undefined;
  }

  /** Data of the run with this id. It must be in memory if it may have changed since `past`. */
  #look(id: string, past: Past | undefined): Past | undefined {
    const { table } = this.#parts;
    const entry = table.at(id);
    if (!entry || isUnchanged(entry, past)) return entry && past;
    const session = table.present(id);
    if (!session) throw new Error(`The run "${id}" must be opened first`);
    const { version, sequence, createdAt, replies } = session;
    const { round } = session.round();
    return { entry, openings: entry.openings, version, sequence, createdAt, replies, round };
  }

  /** `kept` is called once the new run owns the reader's memory. */
  async #replace(id: string, { reader, past, kept, key }: Replacement) {
    const { table, creator, memory, runner, now } = this.#parts;
    const secondsMax = table.stepSecondsMax;
    assertStepCost(reader.spec, optimizersOf(reader.spec), {
      secondsMax,
      action: "restore the run",
      path: "checkpoint",
    });
    using _id = past ? undefined : table.reserve(id);
    // A change of the old run that is acknowledged from here on would be lost.
    using _frozen = past && table.freeze(past.entry);
    // A change of another kind may have used the key meanwhile.
    if (key) past?.replies.find(key);
    const session = new Session({
      id,
      spec: reader.spec,
      state: reader.state,
      memory,
      runner,
      now: () => now().getTime(),
      createdAt: past?.createdAt ?? now().toISOString(),
      // ETags must stay true, so a version number is never used again for other content.
      version: Math.max(reader.version, past?.version ?? 0) + 1,
      // The same holds for event ids and round numbers.
      sequence: Math.max(reader.sequence, past?.sequence ?? 0) + 1,
      round: Math.max(reader.round, (past?.round ?? -1) + 1),
      // A retry of a request to the old run must still be recognized.
      ...past && { replies: past.replies.copy() },
    });
    const { iterations, version } = session;
    const description: RunDescription = {
      ...session.describe(),
      // As it is once the snapshot is written, which holds this description; its journal has no record then.
      snapshot_version: creator.isStored(session) ? version : null,
    };
    if (key) session.replies.add(key, { iterations, version, run: description, created: !past });
    await creator.keep(session, {
      sequence: past?.entry.sequence ?? table.takeSequence(),
      created: past?.entry.store?.creation,
      replaces: past?.entry.store?.record.incarnation,
    });
    kept();
    if (past) {
      const { entry: { store }, entry: old } = past;
      table.closeSession(old, "replaced");
      // A new run that is not stored does not overwrite the old run's record, which must then be removed.
      if (table.at(id)?.store) await store?.discard();
      else await store?.remove();
    }
    return { session, description, created: !past };
  }
}

/** Data of a run that is about to be replaced. */
interface Past {
  readonly entry: RunEntry;
  readonly openings: number;
  readonly version: number;
  readonly sequence: number;
  readonly round: number;
  readonly createdAt: string;
  readonly replies: Replies;
}

/** Whether the run is not in memory, and has not been since. */
function isUnchanged(entry: RunEntry, past: Past | undefined): boolean {
  return !entry.session && past?.entry === entry && past.openings === entry.openings;
}

interface Replacement {
  readonly reader: CheckpointReader;
  readonly past: Past | undefined;
  readonly kept: () => void;
  readonly key: KeyUse | undefined;
}
