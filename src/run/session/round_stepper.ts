/**
 * Makes a session's changes of rounds: adds contributions, ends rounds with a step or without one, withdraws
 * contributions.
 *
 * Each change is checked, then recorded, then made, in one synchronous turn of the session. Invariant: the end of a
 * round has a record of its own, so that a replay ends the round at the same point.
 */
import { StepwellError } from "../../errors.ts";
import type { RoundOutcome } from "../api/rounds.ts";
import type { ContributionAnswer, StepAnswer, StepOptions } from "../api/steps.ts";
import { roundChange, type RoundEnd, stagedChange, withdrawalChange } from "../journal/change_records.ts";
import { KINDS } from "../journal/record_format.ts";
import type { ContributionOptions } from "../journal/replay.ts";
import { type Combined, EDITION } from "../rounds/accumulator.ts";
import { overflowsOf } from "../rounds/check_results.ts";
import { checkContribution, checkFinite, checkIterations, checkNoise } from "../step/check_contribution.ts";
import type { EventLog } from "../answers/events.ts";
import { nextClipNorm } from "../rounds/next_clip_norm.ts";
import type { PseudoGradient } from "../rounds/pseudo_gradient.ts";
import type { Recorder } from "../journal/recorder.ts";
import type { Replies } from "../answers/replies.ts";
import type { Round } from "../rounds/round.ts";
import type { Durability, ResolvedSpec } from "../spec/spec.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { RunState } from "../tensors/state.ts";
import { accumulateOthers } from "./accumulate_others.ts";
import type { SessionHost } from "./host.ts";
import { isSkipped, withDrop } from "./contribution_answers.ts";
import type { Stepper } from "./stepper.ts";

/** Delay before a round that is complete but could not be closed is tried again. */
const RETRY_MS = 1000;

/** The parts of a session that rounds need. */
interface RoundSession {
  readonly durability: Durability;
  readonly version: number;
  readonly events: EventLog;
  readonly replies: Replies;
  stage(kind: "gradients" | "values"): ArenaStaging;
}

/** The reason of a round whose contributions overflow together. */
const NON_FINITE = "non_finite";

interface RoundStepperParts {
  readonly session: RoundSession;
  readonly host: Pick<SessionHost, "deadlineChanged" | "becameQuiet">;
  readonly state: RunState;
  readonly spec: ResolvedSpec;
  readonly round: Round;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly recorder: Recorder;
  readonly stepper: Stepper;
}

export class RoundStepper {
  readonly round: Round;
  readonly #parts: RoundStepperParts;

  constructor(parts: RoundStepperParts) {
    this.#parts = parts;
    this.round = parts.round;
  }

  get #session(): RoundSession {
    return this.#parts.session;
  }

  get #place() {
    return { iterations: this.#parts.state.iterations, version: this.#session.version };
  }

  /** Adds a contribution, and makes the step if it completes the round. */
  apply(staged: ArenaStaging, options: StepOptions): StepAnswer | ContributionAnswer {
    // A complete round that could not be closed, for lack of memory or disk space, must be closed first.
    if (this.round.isComplete) this.#closeOrDrop("complete");
    const answer = this.contribute(staged, options);
    if (options.dryRun && this.round.missing === 1 && !isSkipped(staged, answer)) {
      return this.#rehearse(staged, options, answer);
    }
    if (!answer.accepted) return answer;
    const step = this.#closeIfComplete();
    if (step) return step;
    const outcome = this.round.outcome(answer.round);
    return outcome?.kind === "dropped" ? withDrop(answer, outcome.reason) : answer;
  }

  /** What the round would become with this contribution, which was checked: a step, or nothing. */
  #rehearse(
    staged: ArenaStaging,
    options: StepOptions,
    answer: ContributionAnswer,
  ): StepAnswer | ContributionAnswer {
    using rehearsal = this.round.copy();
    using combined = this.#session.stage("gradients");
    const { version } = this.#session, acceptedAt = this.#parts.now();
    rehearsal.join(staged, options, { acceptedAt, sequence: 0, version });
    const found = rehearsal.combine(combined, EDITION);
    const why = this.#overflow(combined, found);
    if (why !== undefined) return withDrop(answer, why);
    const { number, contributions, loss } = rehearsal, { warnings } = found;
    return this.#parts.stepper.rehearse(this.#parts.stepper.plan(combined), {
      contributions: contributions.length,
      warnings,
      ...rehearsal.isSeen && { round: number },
      ...loss !== undefined && { loss },
    });
  }

  /** Adds a contribution to the open round, which stays open. */
  contribute(staged: ArenaStaging, options: StepOptions & { readonly at?: number }): ContributionAnswer {
    const { state, spec, recorder, now } = this.#parts;
    const absent = checkContribution(state, staged, options);
    this.round.check(staged, options);
    // The step would refuse it too, and then the round could never close.
    checkNoise(spec, staged.tensors.values());
    const skipped = checkFinite(state, staged, spec.nonFinite);
    if (skipped.length === 0 && !options.isRecorded) {
      skipped.push(...this.round.checkResults(staged, options, spec.nonFinite));
    }
    const warnings = [...absent, ...skipped];
    if (skipped.length > 0 || options.dryRun) {
      return this.#answer(this.round.toPseudoGradient(staged, options), options, {
        accepted: false,
        warnings,
      });
    }

    const claims: ContributionOptions = { ...options, at: options.at ?? now() };
    const sequence = recorder.record(() =>
      stagedChange(state, staged, { options: { ...claims }, kind: KINDS.contribution })
    );
    const pseudoGradient = this.round.join(staged, claims, {
      acceptedAt: claims.at,
      sequence,
      version: this.#session.version,
    });
    const answer = this.#answer(pseudoGradient, claims, { accepted: true, warnings });
    if (options.key) this.#session.replies.add(options.key, answer);
    const { round, contributions, missing, deadline } = answer;
    this.#session.events.add(sequence, "contribution_accepted", {
      round,
      client_id: claims.clientId ?? null,
      contributions,
      missing,
      deadline,
      ...this.#place,
    });
    if (contributions === 1) this.#parts.host.deadlineChanged(this.round.deadline);
    return answer;
  }

  #answer(
    { norm, variableFigures, weight, clipFactor }: PseudoGradient,
    options: StepOptions,
    { accepted, warnings }: { accepted: boolean; warnings: readonly string[] },
  ): ContributionAnswer {
    return {
      applied: false,
      accepted,
      round: this.round.number,
      ...this.#place,
      contributions: this.round.contributions.length,
      missing: this.round.missing,
      deadline: this.round.deadlineText,
      staleness: this.round.stalenessOf(options),
      weight,
      gradient_norm: norm,
      clip_factor: clipFactor,
      variables: variableFigures,
      warnings,
      ...options.loss !== undefined && { loss: options.loss },
    };
  }

  /** Closes the round if it is complete. If memory or disk space is lacking, this is tried again later. */
  #closeIfComplete(): StepAnswer | undefined {
    if (!this.round.isComplete) return undefined;
    try {
      return this.#closeOrDrop("complete");
    } catch (error) {
      if (!(error instanceof StepwellError)) throw error;
      this.#parts.host.deadlineChanged(this.#parts.now() + RETRY_MS);
      return undefined;
    }
  }

  /** Ends the open round as the journal says, with a step or without effect. Throws out_of_memory, storage_full, storage_failed. */
  end(end: RoundEnd): StepAnswer | undefined {
    return end.applied ? this.#close(end) : this.#drop(end);
  }

  /** Closes a round that is due, or drops it if its contributions overflow together. */
  #closeOrDrop(reason: RoundEnd["reason"]): StepAnswer | undefined {
    checkIterations(this.#parts.state);
    using combined = this.#session.stage("gradients");
    const found = this.round.combine(combined, EDITION);
    const why = this.#overflow(combined, found);
    if (why !== undefined) return this.#drop({ reason, applied: false, why });
    return this.#perform({ reason, applied: true, edition: EDITION }, combined, found);
  }

  /** Why contributions that are finite are dropped together; undefined if they are not. */
  #overflow(combined: ArenaStaging, found: Combined): string | undefined {
    const { state, spec: { nonFinite } } = this.#parts;
    const [problem] = nonFinite === "propagate" ? [] : overflowsOf(state, combined, found);
    return problem &&
      `${NON_FINITE}: the contributions are finite, but ${problem} is not, once they are combined`;
  }

  /** Closes a round as the journal says. */
  #close(end: RoundEnd): StepAnswer {
    using combined = this.#session.stage("gradients");
    return this.#perform(end, combined, this.round.combine(combined, end.edition ?? 1));
  }

  #perform(end: RoundEnd, combined: ArenaStaging, { averages, warnings }: Combined): StepAnswer {
    const { number, contributions, loss } = this.round, { state, spec, stepper } = this.#parts;
    const plan = stepper.plan(combined), clipNorm = nextClipNorm(state, spec.aggregation, contributions);
    const step = {
      sequence: this.#parts.recorder.record(() => roundChange(end)),
      edition: end.edition ?? 1,
      contributions: contributions.length,
      warnings,
      ...this.round.isSeen && { round: number },
      ...loss !== undefined && { loss },
    };
    const answer = stepper.perform(plan, averages, step);
    state.clipNorm = clipNorm;
    // The client that completed the round gets the step as its answer.
    const key = end.reason === "complete" ? contributions.at(-1)?.key : undefined;
    if (key) this.#session.replies.add(key, answer);
    this.#ended(step.sequence, { kind: "applied", answer });
    return answer;
  }

  #drop(end: RoundEnd): undefined {
    const { number, contributions, minimum } = this.round;
    const sequence = this.#parts.recorder.record(() => roundChange(end));
    const reason = end.why ??
      `at its deadline it had ${contributions.length} of the ${minimum} contributions that it needs`;
    this.#session.events.add(sequence, "round_dropped", {
      round: number,
      reason,
      contributions: contributions.length,
      ...this.#place,
    });
    const key = end.why !== undefined && end.reason === "complete" ? contributions.at(-1)?.key : undefined;
    const told = key && this.#session.replies.find<ContributionAnswer>(key);
    if (key && told) this.#session.replies.add(key, withDrop(told, reason));
    this.#ended(sequence, { kind: "dropped", reason });
  }

  #ended(sequence: number, outcome: RoundOutcome): void {
    this.round.end(outcome);
    this.#parts.host.deadlineChanged(null);
    if (this.round.isSeen) {
      this.#session.events.add(sequence, "round_opened", { round: this.round.number, ...this.#place });
    }
    this.#parts.host.becameQuiet();
  }

  /** Ends the round if it is complete but could not be closed, or if its deadline has passed: by `isDue`, or the clock. */
  endIfDue(isDue: boolean): void {
    const { isComplete, deadline, sufficesAtDeadline } = this.round;
    if (isComplete) this.#closeOrDrop("complete");
    else if (deadline !== null && (isDue || deadline <= this.#parts.now())) {
      if (sufficesAtDeadline) this.#closeOrDrop("deadline");
      else this.#drop({ reason: "deadline", applied: false });
    } else this.#parts.host.deadlineChanged(deadline);
  }

  /** Removes a client's contribution. Throws unknown_contribution, not_withdrawable, storage_full, storage_failed. */
  withdraw(clientId: string): void {
    const place = this.round.find(clientId);
    using unrecorded = new DisposableStack();
    const others = this.round.keepsWhole ? undefined : unrecorded.use(accumulateOthers(this.#parts, place));
    const sequence = this.#parts.recorder.record(() => withdrawalChange(clientId));
    unrecorded.move();
    this.round.remove(place, others);
    const { number, contributions, missing } = this.round;
    this.#session.events.add(sequence, "contribution_withdrawn", {
      round: number,
      client_id: clientId,
      contributions: contributions.length,
      missing,
      deadline: this.round.deadlineText,
      ...this.#place,
    });
    this.#parts.host.deadlineChanged(this.round.deadline);
    if (contributions.length === 0) this.#parts.host.becameQuiet();
  }
}
