/**
 * Makes a session's changes that are not steps: sets variables, weights and hyperparameters.
 *
 * Each change is checked, then recorded, then made, within one turn.
 */
import { StepwellError } from "../../errors.ts";
import { overwrite } from "../../families/optimizers/attributes.ts";
import { ruleOf } from "../../families/optimizers/optimizer.ts";
import { atOnce } from "../../slices.ts";
import type { EventLog } from "../answers/events.ts";
import type { Replies } from "../answers/replies.ts";
import type { Member } from "../api/run_description.ts";
import type { CheckedWeights } from "../api/run_session.ts";
import type { KeyUse, PatchedOptimizer } from "../api/steps.ts";
import { optimizerChange, stagedChange, weightEntries, weightsChange } from "../journal/change_records.ts";
import type { Recorder } from "../journal/recorder.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { RunState } from "../tensors/state.ts";
import { areCurrent, assignWeights, preparingWeights } from "../tensors/weights.ts";
import { CheckedList } from "./checked_list.ts";
import { assertNewSchedules } from "../spec/new_constants.ts";
import type { ResolvedSpec } from "../spec/spec.ts";
import { assertStepCost } from "../step/step_cost.ts";
import type { LateHost } from "./host.ts";
import type { Stepper } from "./stepper.ts";

interface EditorParts {
  readonly session: {
    readonly version: number;
    readonly events: EventLog;
    readonly replies: Replies;
    optimizer(): Member;
  };
  readonly state: RunState;
  readonly spec: ResolvedSpec;
  readonly host: Pick<LateHost, "stepSecondsMax" | "isAttached" | "resized">;
  readonly recorder: Recorder;
  /** Holds the optimizer. */
  readonly stepper: Stepper;
  /** Makes the next version. */
  changed(): void;
}

export class Editor {
  readonly #parts: EditorParts;

  constructor(parts: EditorParts) {
    this.#parts = parts;
  }

  setVariables(staged: ArenaStaging, key?: KeyUse): void {
    const { state, recorder, stepper } = this.#parts;
    if (staged.size === 0) {
      throw new StepwellError("invalid_request", "Cannot set variables: none is given, must be one or more", [
        { path: "variables", message: "is empty, must name one variable or more" },
      ]);
    }
    const { together } = staged;
    const sequence = recorder.record(() => stagedChange(state, staged, { key }));
    for (const { variable, values, count } of staged.apart.values()) {
      state.values(variable).set(state.arena.f32(values, count));
    }
    for (const { first, count, at } of together?.arrangement.spans ?? []) {
      const values = (together?.values as number) + 4 * at;
      state.arena.f32(first.offset, count).set(state.arena.f32(values, count));
    }
    stepper.wasSet(staged.arrived);
    this.#tell(sequence, "variables");
    this.#keep(key);
  }

  /** Checks a list of weights for `setWeights`, in pieces. */
  *preparingWeights(weights: readonly unknown[]): Generator<number, CheckedList> {
    const { state, recorder, stepper: { optimizer } } = this.#parts;
    const about = { member: optimizer.member, rule: ruleOf(optimizer) };
    const prepared = yield* preparingWeights(state, weights, about);
    const entries = prepared && recorder.keepsChanges ? yield* weightEntries(prepared.shapes) : "";
    return new CheckedList(weights, prepared, entries);
  }

  /** Takes a list that was checked as it is, unless the run means another one by it now. */
  setWeights(weights: readonly unknown[] | CheckedWeights, key?: KeyUse): void {
    const { state, recorder, stepper } = this.#parts;
    const isCurrent = weights instanceof CheckedList && this.#areCurrent(weights);
    const list = "list" in weights ? weights.list : weights;
    const { prepared, entries } = isCurrent ? weights : atOnce(this.preparingWeights(list));
    if (!prepared) return;
    const sequence = recorder.record(() => weightsChange(prepared, entries, key));
    assignWeights(state, prepared);
    stepper.wasSet(state.optimized);
    this.#tell(sequence, "weights");
    this.#keep(key);
  }

  #areCurrent({ prepared, entries }: CheckedList): boolean {
    const { state, recorder, stepper: { optimizer } } = this.#parts;
    return prepared !== undefined && areCurrent(state, ruleOf(optimizer), prepared) &&
      (entries !== "" || prepared.shapes.length === 0 || !recorder.keepsChanges);
  }

  patchOptimizer(config: Readonly<Record<string, unknown>>, key?: KeyUse): PatchedOptimizer {
    const { session, state, recorder, stepper } = this.#parts;
    const { optimizer, warnings } = overwrite(stepper.optimizer, config, {
      hypersCreated: state.hypersCreated,
    });
    const { spec, host: { isAttached, stepSecondsMax: secondsMax } } = this.#parts;
    const told = { action: "patch the optimizer", path: "config" };
    if (isAttached) assertNewSchedules(optimizer, { ...told, before: stepper.optimizer });
    assertStepCost(spec, optimizer, { ...told, secondsMax });
    const slotCount = state.slotNames.length;
    using added = state.addSlots(ruleOf(optimizer));
    const sequence = recorder.record(() => optimizerChange(config, key));
    added.move();
    stepper.optimizer = optimizer;
    if (state.slotNames.length > slotCount) this.#parts.host.resized();
    this.#tell(sequence, "optimizer");
    const patched = { ...session.optimizer(), warnings };
    this.#keep(key, { optimizer: patched });
    return patched;
  }

  /** Keeps the answer to a change with a key. */
  #keep(key: KeyUse | undefined, more: { readonly optimizer?: PatchedOptimizer } = {}): void {
    const { session, state } = this.#parts;
    if (key) session.replies.add(key, { iterations: state.iterations, version: session.version, ...more });
  }

  /** Makes the next version and adds an event. */
  #tell(sequence: number, changed: "variables" | "weights" | "optimizer"): void {
    const { session, state } = this.#parts;
    this.#parts.changed();
    session.events.add(sequence, "run_changed", {
      changed,
      iterations: state.iterations,
      version: session.version,
    });
  }
}
