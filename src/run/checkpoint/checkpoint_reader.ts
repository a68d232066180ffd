/**
 * Builds a run from a checkpoint (checkpoint_format.ts). The file is untrusted input, so every part is checked.
 *
 * It does not read files. Invariant: if it fails, it takes no memory.
 */
import type { z } from "zod";
import { refusal, StepwellError } from "../../errors.ts";
import type { OptimizerFamily } from "../../families/optimizers/mod.ts";
import { type Optimizer, ruleOf, slotsOfAnyVariant } from "../../families/optimizers/optimizer.ts";
import { loadOptimizer } from "../../families/optimizers/saved.ts";
import type { Releasable } from "../../releasable.ts";
import { type ByteSink, sameShape, type Shape, showShape, type TensorTarget } from "../../tensor.ts";
import { flatten } from "../../wire/nested_numbers.ts";
import { parseJson } from "../../wire/parse_json.ts";
import type { RunSpec } from "../api/run_spec.ts";
import { Saved, SAVED_LIMITS, slotTensor, variableTensor } from "./checkpoint_format.ts";
import type { Memory } from "../tensors/memory.ts";
import { type ResolvedSpec, resolveSpec } from "../spec/spec.ts";
import { RunState } from "../tensors/state.ts";

/** The optimizers that a checkpoint may name. */
interface Definitions {
  /** All of them, including the definition that a checkpoint contains. */
  familyWith(definition: unknown): OptimizerFamily;
}

/** Takes a checkpoint's tensors as a target; then `finish` or `release` must be called. */
export class CheckpointReader implements TensorTarget, Releasable {
  readonly spec: ResolvedSpec;
  readonly state: RunState;
  readonly version: number;
  readonly sequence: number;
  readonly round: number;
  readonly #expected = new Map<string, { shape: Shape; offset: number }>();

  /**
   * Allocates the run. `isOwn`: the service wrote the file for itself, whatever limits held then. Throws
   * invalid_request for other metadata, body_too_large, and the errors of its spec.
   */
  constructor(
    { memory, optimizers }: { readonly memory: Memory; readonly optimizers: Definitions },
    metadata: ReadonlyMap<string, string>,
    { isOwn }: { readonly isOwn: boolean },
  ) {
    const saved = readSaved(metadata, isOwn);
    const family = optimizers.familyWith(saved.definition);
    const optimizer = loadOptimizer(saved.optimizer, { family, path: "stepwell.optimizer" });
    this.spec = { ...resolveSpec(saved.spec as RunSpec, family), optimizer };
    this.version = saved.version;
    this.sequence = saved.sequence ?? saved.version;
    this.round = saved.round ?? 0;
    using made = new DisposableStack();
    this.state = made.use(new RunState(memory, this.spec, ruleOf(optimizer)));
    this.#fill(saved, optimizer);
    made.move();
  }

  #fill(saved: z.output<typeof Saved>, optimizer: Optimizer): void {
    const { state } = this;
    // Slots that the present switches do not use are allocated too; the checkpoint's tensors fill them.
    const rule = ruleOf(optimizer);
    const idle = saved.slots.filter((slot) => !state.slotNames.includes(slot));
    const known = slotsOfAnyVariant(optimizer.member);
    const strange = idle.find((slot) => !known.has(slot));
    if (strange !== undefined) {
      refuse(`slots hold "${strange}", must be slots of ${optimizer.member.class_name}`);
    }
    state.addSlots({ ...rule, slots: Object.fromEntries(idle.map((slot) => [slot, 0])) });
    state.iterations = saved.iterations;
    state.hypersCreated = saved.hypers_created;
    state.clipNorm = readClipNorm(saved, this.spec, state.clipNorm);
    state.scalars = readScalars(saved.scalars, Object.keys(rule.state ?? {}));
    if (!saved.hypers_created && (saved.iterations > 0 || saved.created.length > 0)) {
      refuse("hypers_created is false, must be true for an optimizer that has made a step");
    }
    for (const { variable, slot } of saved.created) {
      if (!state.variables.has(variable) || !state.slotNames.includes(slot)) {
        refuse(`created holds "${slot}" of "${variable}", must be slots and variables of the run`);
      }
      state.markCreated({ variable: state.variable(variable), slot });
    }
    for (const variable of state.variables.values()) {
      const { name, shape, offset } = variable;
      this.#expected.set(variableTensor(name), { shape, offset });
      for (const slot of variable.home.slots.keys()) {
        this.#expected.set(slotTensor(slot, name), { shape, offset: variable.slotOffset(slot) });
      }
    }
  }

  dense(name: string, tensor: { dtype: string; shape: Shape }): ByteSink {
    const place = this.#expected.get(name);
    if (!place) refuse(`the tensor "${name}" is not one of the run's, or is given twice`);
    if (tensor.dtype !== "F32") refuse(`the tensor "${name}" is ${tensor.dtype}, must be F32`);
    if (!sameShape(tensor.shape, place.shape)) {
      refuse(`the tensor "${name}" has shape ${showShape(tensor.shape)}, must be ${showShape(place.shape)}`);
    }
    this.#expected.delete(name);
    let written = 0;
    return {
      write: (bytes) => {
        this.state.arena.u8(place.offset + written, bytes.length).set(bytes);
        written += bytes.length;
      },
      close: () => {},
    };
  }

  sparse(name: string): never {
    refuse(`the tensor "${name}" is sparse, must be dense`);
  }

  none(name: string): never {
    refuse(`the tensor "${name}" is null, must be given`);
  }

  /** Throws if a tensor is missing. */
  finish(): void {
    const [missing] = this.#expected.keys();
    if (missing !== undefined) refuse(`the tensor "${missing}" is missing`);
  }

  /** Releases the run's memory. It must not be called once a session owns it. */
  release(): void {
    this.state.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** `otherwise`: the bound of a new run, which is the one that does not move. */
function readClipNorm(
  { clip_norm: bound }: z.output<typeof Saved>,
  { aggregation: { clientClipnorm } }: ResolvedSpec,
  otherwise: number | null,
): number | null {
  const moves = typeof clientClipnorm === "object" && clientClipnorm !== null;
  if (moves !== (bound !== undefined)) {
    refuse(`clip_norm is ${bound ?? "missing"}, must be there if and only if the run's bound moves`);
  }
  if (bound === undefined) return otherwise;
  if (Math.fround(bound) !== bound) refuse(`clip_norm is ${bound}, must be a float32 number`);
  return bound;
}

function readScalars(saved: Readonly<Record<string, unknown>>, names: readonly string[]) {
  if (Object.keys(saved).toSorted().join() !== names.toSorted().join()) {
    refuse(`scalars are ${Object.keys(saved).join(", ") || "none"}, must be ${names.join(", ") || "none"}`);
  }
  return Object.fromEntries(names.map((name) => {
    const { shape, values } = flatten(saved[name], `stepwell.scalars.${name}`);
    if (shape.length > 0) refuse(`scalars.${name} has shape ${showShape(shape)}, must be []`);
    return [name, values[0] as number];
  }));
}

function readSaved(metadata: ReadonlyMap<string, string>, isOwn: boolean): z.output<typeof Saved> {
  const text = metadata.get("stepwell") ?? "";
  let json: unknown;
  try {
    json = isOwn ? JSON.parse(text) : parseJson(text, SAVED_LIMITS);
  } catch (error) {
    if (error instanceof StepwellError && error.code === "body_too_large") throw error;
    refuse('the metadata has no JSON under "stepwell"');
  }
  const saved = Saved.safeParse(json);
  if (saved.success) return saved.data;
  const [issue] = saved.error.issues;
  return refuse(`stepwell.${issue?.path.map(String).join(".")}: ${issue?.message}`);
}

function refuse(problem: string): never {
  throw refusal("invalid_request", "restore the checkpoint", { path: "checkpoint", called: "" }, problem);
}
