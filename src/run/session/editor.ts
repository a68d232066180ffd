/**
 * Makes a session's changes that are not steps: sets variables, weights and hyperparameters.
 *
 * Each change is checked, then recorded, then made, within one turn.
 */
import { StepwellError } from "../../errors.ts";
import { overwrite } from "../../families/optimizers/attributes.ts";
import { ruleOf } from "../../families/optimizers/optimizer.ts";
import type { EventLog } from "../answers/events.ts";
import { optimizerChange, stagedChange, weightsChange } from "../journal/change_records.ts";
import type { Recorder } from "../journal/recorder.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { RunState } from "../tensors/state.ts";
import { setWeights } from "../tensors/weights.ts";
import type { ResolvedSpec } from "../spec/spec.ts";
import { assertStepCost } from "../step/step_cost.ts";
import type { SessionHost } from "./host.ts";
import type { Stepper } from "./stepper.ts";

interface EditorParts {
  readonly session: { readonly version: number; readonly events: EventLog };
  readonly state: RunState;
  readonly spec: ResolvedSpec;
  readonly host: Pick<SessionHost, "stepSecondsMax">;
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

  setVariables(staged: ArenaStaging): void {
    const { state, recorder, stepper } = this.#parts;
    if (staged.tensors.size === 0) {
      throw new StepwellError("invalid_request", "Cannot set variables: none is given, must be one or more", [
        { path: "variables", message: "is empty, must name one variable or more" },
      ]);
    }
    const sequence = recorder.record(() => stagedChange(state, staged));
    for (const { variable, values, count } of staged.tensors.values()) {
      state.values(variable).set(state.arena.f32(values, count));
    }
    stepper.wasSet([...staged.tensors.values()].map(({ variable }) => variable));
    this.#tell(sequence, "variables");
  }

  setWeights(weights: readonly unknown[]): void {
    const { state, recorder, stepper } = this.#parts, { optimizer } = stepper;
    let sequence = 0;
    const changed = setWeights(state, weights, {
      member: optimizer.member,
      rule: ruleOf(optimizer),
      record: (iterations, rest) => sequence = recorder.record(() => weightsChange(iterations, rest)),
    });
    if (!changed) return;
    stepper.wasSet(state.optimized);
    this.#tell(sequence, "weights");
  }

  /** Overwrites hyperparameters and returns warnings. */
  patchOptimizer(config: Readonly<Record<string, unknown>>): readonly string[] {
    const { state, recorder, stepper } = this.#parts;
    const { optimizer, warnings } = overwrite(stepper.optimizer, config, {
      hypersCreated: state.hypersCreated,
    });
    const secondsMax = this.#parts.host.stepSecondsMax;
    assertStepCost(this.#parts.spec, optimizer, {
      secondsMax,
      action: "patch the optimizer",
      path: "config",
    });
    using added = state.addSlots(ruleOf(optimizer));
    const sequence = recorder.record(() => optimizerChange(config));
    added.move();
    stepper.optimizer = optimizer;
    this.#tell(sequence, "optimizer");
    return warnings;
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
