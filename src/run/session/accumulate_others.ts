/**
 * Computes a round's sum without one of its contributions. Float32 additions cannot be undone, so all the others are
 * read from the journal and added up again.
 */
import { StepwellError } from "../../errors.ts";
import { readContribution } from "../journal/replay.ts";
import type { Recorder } from "../journal/recorder.ts";
import type { Accumulator } from "../rounds/accumulator.ts";
import type { Round } from "../rounds/round.ts";
import type { Durability } from "../spec/spec.ts";
import type { ArenaStaging } from "../staging/staging.ts";

interface OthersParts {
  readonly session: {
    readonly durability: Durability;
    readonly version: number;
    stage(kind: "gradients"): ArenaStaging;
  };
  readonly recorder: Recorder;
  readonly round: Round;
}

/**
 * Accumulates all of the round's contributions except the one at `place`. Throws not_withdrawable, out_of_memory,
 * storage_failed.
 */
export function accumulateOthers(parts: OthersParts, place: number): Accumulator {
  using unfinished = new DisposableStack();
  const others = unfinished.use(parts.round.newAccumulator());
  if (parts.round.contributions.length > 1) addAllBut(place, others, parts);
  unfinished.move();
  return others;
}

function addAllBut(place: number, others: Accumulator, { session, recorder, round }: OthersParts): void {
  const wanted = new Map(round.contributions.map((each) => [each.sequence, each]));
  wanted.delete(round.contributions[place]?.sequence as number);
  // Clients' new weights were subtracted from the variables of that time.
  const isMoved = round.subtractsWeights &&
    wanted.values().some(({ version }) => version !== session.version);
  if (!recorder.hasRecords || isMoved) {
    const client = JSON.stringify(round.contributions[place]?.clientId);
    const why = isMoved
      ? "the variables that others were subtracted from have changed since"
      : `a run with durability "${session.durability}" has no journal to compute it again from`;
    throw new StepwellError(
      "not_withdrawable",
      `Cannot withdraw the contribution of the client ${client}: it is part of a sum, and ${why}`,
    );
  }
  recorder.readRecords((record) => {
    const contribution = wanted.get(record.sequence);
    if (!contribution) return;
    wanted.delete(record.sequence);
    readContribution(session, record, (staging, claims) => {
      const pseudoGradient = round.toPseudoGradient(staging, {
        ...claims,
        staleness: contribution.staleness,
      });
      others.join({ staging, pseudoGradient });
    });
  });
  if (wanted.size > 0) throw new Error(`The journal lacks ${wanted.size} contributions of the open round`);
}
