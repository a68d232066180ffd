/**
 * Makes a session's changes that are not steps: sets variables, weights and hyperparameters.
 *
 * Each change is checked, then recorded, then made, within one turn.
 */
import { StepwellError } from "../../errors.ts";
import { type Optimizer, ruleOf } from "../../families/optimizers/optimizer.ts";
import type { EventLog } from "../answers/events.ts";
import type { Replies } from "../answers/replies.ts";
import type { Member } from "../api/run_description.ts";
import type { KeyUse, PatchedOptimizer } from "../api/steps.ts";
import { optimizerChange, stagedChange, weightsChange } from "../journal/change_records.ts";
import type { Recorder } from "../journal/recorder.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { RunState } from "../tensors/state.ts";
import { setWeights, type WholeWeights } from "../tensors/weights.ts";
import { assertNewSchedules } from "../spec/new_constants.ts";
import { groupAt, overwriteGroups } from "../spec/groups.ts";
import type { ResolvedSpec } from "../spec/spec.ts";
import { assertStepCost } from "../step/step_cost.ts";
import type { LateHost } from "./host.ts";
import type { Stepper } from "./stepper.ts";

interface EditorParts {
  readonly session: {
    readonly version: number;
    readonly events: EventLog;
    readonly replies: Replies;
    optimizer(group?: string): Member;
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

  setWeights(weights: readonly unknown[] | WholeWeights, key?: KeyUse): void {
    const { state, recorder, stepper } = this.#parts, { optimizers } = stepper;
    let sequence = 0;
    const changed = setWeights(state, weights, {
      member: optimizers[0].member,
      rules: optimizers.map(ruleOf),
      record: (whole) => sequence = recorder.record(() => weightsChange(whole, key)),
    });
    if (!changed) return;
    stepper.wasSet(state.optimized);
    this.#tell(sequence, "weights");
    this.#keep(key);
  }

  /** Throws invalid_config, unknown_group, out_of_memory, storage_full, storage_failed. */
  patchOptimizer(
    config: Readonly<Record<string, unknown>>,
    { key, group }: { readonly key?: KeyUse | undefined; readonly group?: string | undefined } = {},
  ): PatchedOptimizer {
    const { session, state, recorder, stepper } = this.#parts, told = { action: "patch the optimizer" };
    const at = group === undefined ? undefined : groupAt(stepper.groups, group);
    const { optimizers, groups, warnings } = overwriteGroups(stepper.optimizers, stepper.groups, config, {
      ...told,
      group: at,
      hypersCreated: state.hypersCreated,
    });
    const { spec, host: { isAttached, stepSecondsMax: secondsMax } } = this.#parts, path = "config";
    if (isAttached) {
      const before = stepper.optimizers[at ?? 0] as Optimizer;
      assertNewSchedules(optimizers[at ?? 0] as Optimizer, { ...told, path, before });
    }
    assertStepCost(spec, optimizers, { ...told, path, secondsMax });
    const { bytes } = state;
    using added = new DisposableStack();
    optimizers.forEach((optimizer, n) => added.use(state.addSlots(ruleOf(optimizer), n)));
    const sequence = recorder.record(() => optimizerChange(config, { key, group }));
    added.move();
    stepper.optimizers = optimizers as typeof stepper.optimizers;
    stepper.groups = groups;
    if (state.bytes > bytes) this.#parts.host.resized();
    this.#tell(sequence, "optimizer");
    const patched = { ...session.optimizer(group), warnings };
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
