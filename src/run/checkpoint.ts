/**
 * A whole run as one safetensors file, and back. Tensors `variables/NAME` and `slots/SLOT/NAME`; the rest is JSON
 * under the key `stepwell` of the file's metadata.
 *
 * Not a backup schedule and no file writer. Invariant: a restored run gives the same bits as the one saved.
 */
import { z } from "zod";
import { StepwellError } from "../errors.ts";
import { type Optimizer, ruleOf, ruleOfConfig } from "../families/optimizers/optimizer.ts";
import { loadOptimizer, saveOptimizer } from "../families/optimizers/saved.ts";
import { type ByteSink, sameShape, type Shape, showShape, type TensorTarget } from "../tensor.ts";
import { exactJson } from "../wire/exact_json.ts";
import { flatten, nest } from "../wire/json.ts";
import { DEADLINE_SECONDS_MAX, NOISE_SEED_MAX, type Publication, type RunSpec } from "./api.ts";
import type { Memory } from "./memory.ts";
import type { Optimizers } from "./optimizers.ts";
import { type ResolvedSpec, resolveSpec, serializeSpec } from "./spec.ts";
import { RunState } from "./state.ts";

/** Of the metadata; a change that older code cannot read raises it. */
const FORMAT_VERSION = 1;

/** Runs of earlier versions of the service have no more than mode and aggregator. */
const SavedAggregation = z.strictObject({
  mode: z.enum(["immediate", "round", "buffer"]),
  quorum: z.int().min(1).optional(),
  minimum: z.int().min(1).optional(),
  deadline_seconds: z.number().positive().max(DEADLINE_SECONDS_MAX).nullish(),
  buffer_size: z.int().min(1).optional(),
  aggregator: z.unknown(),
  payload: z.enum(["gradient", "delta", "weights"]).optional(),
  max_staleness: z.int().min(0).nullish(),
  staleness_weighting: z.unknown().optional(),
  client_clipnorm: z.number().positive().nullish(),
  noise: z.strictObject({ stddev: z.number().min(0), seed: z.int().min(0).max(NOISE_SEED_MAX) }).nullish(),
});

const Saved = z.strictObject({
  format_version: z.literal(FORMAT_VERSION),
  created_at: z.iso.datetime(),
  version: z.int().min(0),
  /** Of the next journal record; absent where every change made a version. */
  sequence: z.int().min(0).optional(),
  /** Of the open round. */
  round: z.int().min(0).optional(),
  iterations: z.int().min(0),
  hypers_created: z.boolean(),
  /** As JSON tensors have them: numbers that JSON lacks are strings. */
  scalars: z.record(z.string(), z.unknown()),
  created: z.array(z.strictObject({ variable: z.string(), slot: z.string() })),
  slots: z.array(z.string()),
  optimizer: z.unknown(),
  /** Of an optimizer that was registered: who restores the run may not have it. */
  definition: z.unknown().optional(),
  spec: z.strictObject({
    optimizer: z.unknown(),
    variables: z.array(
      z.strictObject({
        name: z.string().min(1),
        shape: z.array(z.int().min(0)),
        constraint: z.unknown().optional(),
        role: z.enum(["optimize", "average"]).optional(),
      }),
    ).min(1),
    aggregation: SavedAggregation,
    gradient_transformers: z.array(z.unknown()),
    non_finite: z.enum(["reject", "skip", "propagate"]),
    durability: z.enum(["journal", "snapshot", "none"]),
  }),
});

interface Checkpointed {
  readonly spec: ResolvedSpec;
  readonly optimizer: Optimizer;
  readonly state: RunState;
  readonly version: number;
  readonly sequence: number;
  readonly round: number;
  readonly createdAt: string;
  /** Further metadata that goes with the state. */
  readonly remembered: Readonly<Record<string, string>>;
}

const variableTensor = (name: string) => `variables/${name}`;
const slotTensor = (slot: string, name: string) => `slots/${slot}/${name}`;

/** A run's tensors where they lie. */
export interface LiveCheckpoint {
  readonly version: number;
  /** Of the next change. */
  readonly sequence: number;
  readonly metadata: Readonly<Record<string, string>>;
  /** `view` is to be used at once: memory that grows takes views away. */
  readonly tensors: readonly {
    readonly name: string;
    readonly shape: Shape;
    view(): Float32Array<ArrayBuffer>;
  }[];
}

/** Nothing is copied: for a run that nobody changes. */
export function liveCheckpointOf(
  { spec, optimizer, state, version, sequence, round, createdAt, remembered }: Checkpointed,
): LiveCheckpoint {
  const variables = [...state.variables.values()];
  const saved: z.input<typeof Saved> = {
    format_version: FORMAT_VERSION,
    created_at: createdAt,
    version,
    sequence,
    round,
    iterations: state.iterations,
    hypers_created: state.hypersCreated,
    scalars: Object.fromEntries(
      Object.entries(state.scalars).map(([name, value]) => [name, nest(Float32Array.of(value), [])]),
    ),
    created: state.created.map(({ variable, slot }) => ({ variable: variable.name, slot })),
    slots: [...state.slotNames],
    optimizer: saveOptimizer(optimizer),
    ...optimizer.member.definition && { definition: optimizer.member.definition },
    spec: serializeSpec(spec, { class_name: optimizer.member.class_name, config: {} }) as z.input<
      typeof Saved
    >["spec"],
  };
  return {
    version,
    sequence,
    tensors: [
      ...variables.map((variable) => ({
        name: variableTensor(variable.name),
        shape: variable.shape,
        view: () => state.values(variable),
      })),
      ...state.slotNames.flatMap((slot) =>
        state.optimized.map((variable) => ({
          name: slotTensor(slot, variable.name),
          shape: variable.shape,
          view: () => state.slotValues(variable, slot),
        }))
      ),
    ],
    metadata: {
      format: "stepwell",
      stepwell: exactJson(saved),
      ...remembered,
    },
  };
}

/** Copies of everything, counted against the memory bound until released. Throws out_of_memory. */
export function checkpointOf(
  memory: Memory,
  checkpointed: Checkpointed,
): Publication & { readonly metadata: Readonly<Record<string, string>> } {
  const { bytes, iterations } = checkpointed.state;
  memory.publish(bytes);
  const { version, metadata, tensors } = liveCheckpointOf(checkpointed);
  let open = true;
  return {
    iterations,
    version,
    tensors: tensors.map(({ name, shape, view }) => ({ name, shape, values: view().slice() })),
    metadata,
    release() {
      if (open) memory.unpublish(bytes);
      open = false;
    },
  };
}

/** The version of the run in the metadata of a snapshot. */
export function savedVersion({ stepwell }: Readonly<Record<string, string>>): number {
  return Saved.pick({ version: true }).strip().parse(JSON.parse(stepwell ?? "")).version;
}

/** A run on its way back from a checkpoint: `target` takes its tensors, then `finish` or `release`. */
export class CheckpointReader implements TensorTarget {
  readonly spec: ResolvedSpec;
  readonly state: RunState;
  readonly version: number;
  readonly sequence: number;
  readonly round: number;
  readonly #expected = new Map<string, { shape: Shape; offset: number }>();

  /** Allocates the run. Throws invalid_request for metadata of something else, and what its spec deserves. */
  constructor(
    { memory, optimizers }: { readonly memory: Memory; readonly optimizers: Optimizers },
    metadata: ReadonlyMap<string, string>,
  ) {
    const saved = readSaved(metadata);
    const family = optimizers.familyWith(saved.definition);
    const optimizer = loadOptimizer(saved.optimizer, { family, path: "stepwell.optimizer" });
    this.spec = { ...resolveSpec(saved.spec as RunSpec, family), optimizer };
    this.version = saved.version;
    this.sequence = saved.sequence ?? saved.version;
    this.round = saved.round ?? 0;
    this.state = new RunState(memory, this.spec, ruleOf(optimizer));
    try {
      this.#fill(saved, optimizer);
    } catch (error) {
      this.state.free();
      throw error;
    }
  }

  #fill(saved: z.output<typeof Saved>, optimizer: Optimizer): void {
    const { state } = this;
    // Slots that a switch has since made idle are kept, with the zeros that the checkpoint then fills.
    const rule = ruleOf(optimizer);
    const idle = saved.slots.filter((slot) => !state.slotNames.includes(slot));
    const known = slotsOfAnyVariant(optimizer);
    const strange = idle.find((slot) => !known.has(slot));
    if (strange !== undefined) {
      refuse(`slots hold "${strange}", must be slots of ${optimizer.member.class_name}`);
    }
    state.addSlots({ ...rule, slots: Object.fromEntries(idle.map((slot) => [slot, 0])) });
    state.iterations = saved.iterations;
    state.hypersCreated = saved.hypers_created;
    state.scalars = readScalars(saved.scalars, Object.keys(rule.state ?? {}));
    if (!saved.hypers_created && (saved.iterations > 0 || saved.created.length > 0)) {
      refuse("hypers_created is false, must be true of an optimizer that has stepped");
    }
    for (const { variable, slot } of saved.created) {
      if (!state.variables.has(variable) || !state.slotNames.includes(slot)) {
        refuse(`created holds "${slot}" of "${variable}", must be slots and variables of the run`);
      }
      state.markCreated({ variable: state.variable(variable), slot });
    }
    for (const { name, shape, offset, slots } of state.variables.values()) {
      this.#expected.set(variableTensor(name), { shape, offset });
      for (const [slot, at] of slots) this.#expected.set(slotTensor(slot, name), { shape, offset: at });
    }
  }

  dense(name: string, tensor: { dtype: string; shape: Shape }): ByteSink {
    const place = this.#expected.get(name);
    if (!place) refuse(`the tensor "${name}" is not one of the run's, or comes twice`);
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
    refuse(`the tensor "${name}" is null, must be there`);
  }

  /** Throws when a tensor is missing. */
  finish(): void {
    const [missing] = this.#expected.keys();
    if (missing !== undefined) refuse(`the tensor "${missing}" is missing`);
  }
}

/** Slots that the optimizer has with some switches or others. */
function slotsOfAnyVariant({ member }: Optimizer): ReadonlySet<string> {
  const rules = member.variants.map((config) => ruleOfConfig(member, config));
  return new Set(rules.flatMap(({ slots }) => Object.keys(slots)));
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

function readSaved(metadata: ReadonlyMap<string, string>): z.output<typeof Saved> {
  let json: unknown;
  try {
    json = JSON.parse(metadata.get("stepwell") ?? "");
  } catch {
    refuse('the metadata has no JSON under "stepwell"');
  }
  const saved = Saved.safeParse(json);
  if (saved.success) return saved.data;
  const [issue] = saved.error.issues;
  return refuse(`stepwell.${issue?.path.map(String).join(".")}: ${issue?.message}`);
}

function refuse(problem: string): never {
  throw new StepwellError("invalid_request", `Cannot restore the checkpoint: ${problem}`, [
    { path: "checkpoint", message: problem },
  ]);
}
