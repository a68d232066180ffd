/**
 * Makes a session's steps: plans, records, performs and remembers each one within one turn.
 *
 * Invariant: `perform` gets a complete, recorded plan and cannot fail.
 */
import type { Runner } from "../../../kernels/compiler/runner.ts";
import type { Optimizer } from "../../families/optimizers/optimizer.ts";
import type { Loss, StepAnswer, StepOptions } from "../api/steps.ts";
import { stagedChange } from "../journal/change_records.ts";
import { checkContribution, checkFinite } from "../step/check_contribution.ts";
import type { EventLog } from "../answers/events.ts";
import { EDITION, setAverage, TELLING_EDITION } from "../rounds/accumulator.ts";
import { checkAsItIs } from "../rounds/check_results.ts";
import { type Instruction, perform } from "../step/instruction.ts";
import { NonFiniteCounts } from "../step/non_finite_counts.ts";
import { forOneStep } from "../step/overrides.ts";
import { assertStepCost } from "../step/step_cost.ts";
import { areMany } from "../answers/norms.ts";
import type { SessionHost } from "./host.ts";
import type { Recorder } from "../journal/recorder.ts";
import type { Replies } from "../answers/replies.ts";
import { assertNewSchedules } from "../spec/new_constants.ts";
import { DEFAULT_GROUP, type ResolvedGroup } from "../spec/groups.ts";
import { optimizersOf, type ResolvedSpec } from "../spec/spec.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { RunState, VariableState } from "../tensors/state.ts";
import { planStep, type StepPlan } from "../step/plan_step.ts";
import { divergence, divergenceWarnings } from "./divergence.ts";

/** Count of applied steps that a run remembers. */
const STEPS_MAX = 64;
/** Norms of single variables that they may have together; the oldest steps lose theirs first. */
const NORMS_MAX = 2 ** 20;

/** Data of a performed step that its plan does not have. */
export interface PerformedStep {
  /** Sequence number of its change. */
  readonly sequence: number;
  /** The edition that it is made with: the newest, or that of the journal. */
  readonly edition: number;
  readonly contributions: number;
  readonly warnings: readonly string[];
  readonly round?: number;
  readonly loss?: Loss;
}

interface StepperParts {
  readonly session: {
    readonly version: number;
    readonly events: EventLog;
    readonly replies: Replies;
  };
  readonly spec: ResolvedSpec;
  readonly state: RunState;
  readonly host: Pick<SessionHost, "stepSecondsMax" | "stepped">;
  readonly runner: Runner;
  readonly recorder: Recorder;
  /** The remembered steps, oldest first. */
  readonly latest: readonly StepAnswer[];
  /** Makes the next version. */
  changed(): void;
}

export class Stepper {
  readonly #parts: StepperParts;
  readonly #latest: StepAnswer[];
  readonly #nonFinite: NonFiniteCounts;
  readonly #averaged: readonly VariableState[];
  /** By group. */
  optimizers: readonly [Optimizer, ...Optimizer[]];
  /** The groups, without the default one. */
  groups: readonly ResolvedGroup[];

  constructor(parts: StepperParts) {
    this.#parts = parts;
    this.#latest = [...parts.latest];
    this.optimizers = optimizersOf(parts.spec);
    this.groups = parts.spec.groups;
    this.#nonFinite = new NonFiniteCounts(parts.state);
    this.#averaged = [...parts.state.variables.values()].filter(({ role }) => role === "average");
  }

  /** The latest steps, oldest first. */
  get latest(): readonly StepAnswer[] {
    return this.#latest;
  }

  /** Makes a step of one contribution. */
  step(staged: ArenaStaging, options: StepOptions): StepAnswer {
    const { state, spec, session, recorder, host } = this.#parts;
    const absent = checkContribution(state, staged, options);
    const stepping = forOneStep(this.optimizers, options.hyperparameters, { state, groups: this.groups });
    if (stepping.optimizers !== this.optimizers) {
      const told = { action: "step", path: "hyperparameters" };
      if (!options.isRecorded) {
        assertNewSchedules(stepping.optimizers[0], { ...told, before: this.optimizers[0] });
      }
      assertStepCost(spec, stepping.optimizers, { ...told, secondsMax: host.stepSecondsMax });
    }
    const skipped = checkFinite(state, staged, spec.nonFinite);
    if (skipped.length === 0 && !options.isRecorded) {
      skipped.push(...checkAsItIs(state, staged, spec.nonFinite));
    }
    const warnings = [...absent, ...stepping.warnings, ...skipped];
    const plan = this.plan(staged, stepping.optimizers);
    const told = { contributions: 1, warnings, ...options.loss !== undefined && { loss: options.loss } };
    if (skipped.length > 0 || options.dryRun) return this.#figures(plan, { applied: false, ...told });

    const edition = options.isRecorded ? options.edition ?? 1 : EDITION;
    const sequence = recorder.record(() => stagedChange(state, staged, { options: { ...options, edition } }));
    const averages = [...staged.apart.values()].filter(({ variable }) => variable.role === "average")
      .map(({ variable, values }) => setAverage(variable, values, 1));
    const answer = this.perform(plan, averages, { sequence, edition, ...told });
    if (options.key) session.replies.add(options.key, answer);
    return answer;
  }

  /** Throws out_of_memory, and the errors of the gradients. */
  plan(staging: ArenaStaging, optimizers = this.optimizers): StepPlan {
    const { state, spec, runner } = this.#parts;
    return planStep({ state, spec, optimizers, staging, runner });
  }

  /** The answer of a step that is planned but not made. */
  rehearse(plan: StepPlan, step: Omit<PerformedStep, "sequence" | "edition">): StepAnswer {
    return this.#figures(plan, { applied: false, ...step });
  }

  /** Called when something else than a step has set the values of variables or of their slots. */
  wasSet(variables: Iterable<VariableState>): void {
    this.#nonFinite.forget(variables);
  }

  /** Performs a recorded step and remembers it. */
  perform(
    plan: StepPlan,
    averages: readonly Instruction[],
    { sequence, edition, warnings, ...step }: PerformedStep,
  ): StepAnswer {
    const { state, runner, session, host, changed } = this.#parts;
    const changing = averages.length > 0 ? [...plan.variables, ...this.#averaged] : plan.variables;
    this.#nonFinite.prepare(changing);
    perform(state, [...plan.instructions, ...averages], runner);
    const found = this.#nonFinite.increases(changing);
    const increases = edition >= TELLING_EDITION ? found : [];
    state.createSlots(plan.rules, plan.variables);
    state.hypersCreated = true;
    state.scalars = plan.scalars;
    state.iterations += 1;
    changed();
    const answer = this.#figures(plan, {
      applied: true,
      warnings: [...warnings, ...divergenceWarnings(increases)],
      ...step,
    });
    this.#remember(answer);
    const { warnings: _, variables: __, ...data } = answer;
    session.events.add(sequence, "step_applied", data);
    host.stepped(increases.length > 0);
    if (increases.length > 0) {
      const { iterations, version } = answer;
      session.events.add(sequence, "step_diverged", { ...divergence(increases), iterations, version });
    }
    return answer;
  }

  #remember(answer: StepAnswer): void {
    const latest = this.#latest;
    latest.push(answer);
    if (latest.length > STEPS_MAX) latest.shift();
    if (!areMany(answer.variables)) return;
    const place = latest.length - 1 - Math.max(1, Math.floor(NORMS_MAX / answer.variables.norms.length));
    const old = latest[place];
    if (old && areMany(old.variables)) latest[place] = { ...old, variables: {} };
  }

  #rates({ learningRates }: StepPlan): NonNullable<StepAnswer["groups"]> {
    return Object.fromEntries(
      [DEFAULT_GROUP, ...this.groups.map(({ name }) => name)]
        .map((name, group) => [name, { learning_rate: learningRates[group] as number }]),
    );
  }

  #figures(
    plan: StepPlan,
    { warnings, ...step }: Omit<PerformedStep, "sequence" | "edition"> & { readonly applied: boolean },
  ): StepAnswer {
    const { applied, contributions, ...rest } = step;
    return {
      applied,
      iterations: this.#parts.state.iterations,
      version: this.#parts.session.version,
      learning_rate: plan.learningRates[0] as number,
      ...this.groups.length > 0 && { groups: this.#rates(plan) },
      gradient_norm: plan.gradientNorm,
      clip_factor: plan.clipFactor,
      contributions,
      variables: plan.variableFigures,
      warnings,
      ...rest,
    };
  }
}
