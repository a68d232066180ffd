/**
 * Checkpoints that come in: each becomes a run beside the one that it replaces, and takes its place in one turn.
 *
 * Invariant: the old run stays as it is until the new one is on disk.
 */
import type { Runner } from "../../kernels/plan.ts";
import type { Restoration } from "./api.ts";
import { CheckpointReader } from "./checkpoint.ts";
import type { Creator } from "./creator.ts";
import type { Entries } from "./entries.ts";
import type { Memory } from "./memory.ts";
import { Session } from "./session.ts";

interface RestorerParts {
  readonly entries: Entries;
  readonly creator: Creator;
  readonly memory: Memory;
  readonly run: Runner;
  readonly now: () => Date;
}

export class Restorer {
  readonly #parts: RestorerParts;

  constructor(parts: RestorerParts) {
    this.#parts = parts;
  }

  restore(id: string): Restoration {
    let reader: CheckpointReader | undefined;
    return {
      begin: (metadata) => reader = new CheckpointReader(this.#parts.memory, metadata),
      commit: async () => {
        if (!reader) throw new Error("Nothing has been read yet");
        reader.finish();
        return await this.#replace(id, reader, () => reader = undefined);
      },
      release: () => {
        reader?.state.free();
        reader = undefined;
      },
    };
  }

  /** `kept` is called when the run has the reader's memory for its own. */
  async #replace(id: string, reader: CheckpointReader, kept: () => void) {
    const { entries, creator, memory, run, now } = this.#parts;
    const old = entries.at(id);
    if (!old) entries.reserve(id);
    let free: (() => void) | undefined;
    try {
      const current = old && entries.get(id);
      // What was acknowledged from here on would be lost: it would change what is about to be replaced.
      free = current?.hold();
      const session = new Session({
        id,
        spec: reader.spec,
        state: reader.state,
        memory,
        run,
        now: () => now().getTime(),
        createdAt: current?.createdAt ?? now().toISOString(),
        // A version never comes back with other content, so that ETags stay true.
        version: Math.max(reader.version, current?.version ?? 0) + 1,
        // Nor do the ids of events, and the numbers of rounds.
        sequence: Math.max(reader.sequence, current?.sequence ?? 0) + 1,
        round: Math.max(reader.round, (current?.round().round ?? -1) + 1),
        // A retry of a request from before is still one.
        ...current && { replies: current.replies },
      });
      await creator.keep(session, { sequence: old?.sequence ?? entries.takeSequence() });
      kept();
      // Others may change the run while the old files are removed.
      const description = session.describe();
      if (old) {
        entries.closeSession(old, "replaced");
        // A run that is not stored leaves no record of the one in whose place it is.
        if (entries.at(id)?.store) await old.store?.discard();
        else await old.store?.remove();
      }
      return { session, description, created: !old };
    } finally {
      free?.();
      entries.unreserve(id);
    }
  }
}
