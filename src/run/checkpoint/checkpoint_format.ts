/**
 * The format of checkpoint files: tensors `variables/NAME` and `slots/SLOT/NAME`; all other data are JSON under the
 * key `stepwell` of the file's metadata. checkpoint.ts writes it, checkpoint_reader.ts reads it.
 */
import { z } from "zod";
import { HEADER_BYTES_MAX } from "../../wire/safetensors_header.ts";
import { FLOAT32_MAX, FLOAT32_NORMAL_MIN } from "../../float32.ts";
import { DEADLINE_SECONDS_MAX, NOISE_SEED_MAX, PATTERN_LENGTH_MAX, PATTERNS_MAX } from "../api/run_spec.ts";

/** Metadata key of everything but the tensors, as JSON. */
export const SAVED = "stepwell";
/** Metadata key of the owner of a snapshot, as JSON. A checkpoint sent to a client does not have it. */
export const OWNER = "stepwell_owner";
/** Version of the metadata. It is increased by every change that older code cannot read. */
export const FORMAT_VERSION = 1;

/**
 * What the JSON of an uploaded checkpoint may hold. No run is created that has more (header_size.ts). Other values than
 * those of variables are the optimizer's: schedules may have long lists.
 */
export const SAVED_LIMITS = { plainBytesMax: HEADER_BYTES_MAX, valuesMax: 4_000_000, namesMax: 100_000 };
/** The part of them for the variables and their slots. */
export const VARIABLE_VALUES_MAX = SAVED_LIMITS.valuesMax / 2;

/** Earlier versions of the service wrote only mode and aggregator. */
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
  client_clipnorm: z.union([z.number().positive(), z.looseObject({ class_name: z.string() })]).nullish(),
  partial: z.boolean().optional(),
  noise: z.strictObject({
    stddev: z.number().min(0).optional(),
    multiplier: z.number().min(0).optional(),
    seed: z.int().min(0).max(NOISE_SEED_MAX),
  }).nullish(),
});

export const Saved = z.strictObject({
  format_version: z.literal(FORMAT_VERSION),
  created_at: z.iso.datetime(),
  version: z.int().min(0),
  /** Sequence number of the next journal record; absent in files from when it equaled the version. */
  sequence: z.int().min(0).optional(),
  /** Number of the open round. */
  round: z.int().min(0).optional(),
  iterations: z.int().min(0),
  hypers_created: z.boolean(),
  /** The bound on the contributions' norms, if it moves. */
  clip_norm: z.number().min(FLOAT32_NORMAL_MIN).max(FLOAT32_MAX).optional(),
  /** Numbers as in JSON tensors: strings stand for numbers that JSON cannot express. */
  scalars: z.record(z.string(), z.unknown()),
  created: z.array(z.strictObject({ variable: z.string(), slot: z.string() })),
  slots: z.array(z.string()),
  optimizer: z.unknown(),
  /** Those besides the default one; absent without any. */
  groups: z.array(z.strictObject({
    name: z.string(),
    scalars: z.record(z.string(), z.unknown()),
    slots: z.array(z.string()),
    optimizer: z.unknown(),
    /** The hyperparameters that are its own; absent: the whole optimizer is. */
    own: z.array(z.string()).optional(),
  })).optional(),
  /** Definition of a registered optimizer, which the restoring service may not have. */
  definition: z.unknown().optional(),
  spec: z.strictObject({
    optimizer: z.unknown(),
    sparse: z.enum(["keras", "lazy", "exact"]).optional(),
    groups: z.array(z.strictObject({
      name: z.string().min(1).max(64),
      variables: z.array(z.string().min(1).max(PATTERN_LENGTH_MAX)).min(1).max(PATTERNS_MAX),
      sparse: z.enum(["keras", "lazy", "exact"]),
      optimizer: z.unknown().optional(),
    })).max(64).optional(),
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

export type SavedRun = z.output<typeof Saved>;

export const variableTensor = (name: string) => `variables/${name}`;
export const slotTensor = (slot: string, name: string) => `slots/${slot}/${name}`;

/** The version of the run in the metadata of a snapshot. */
export function savedVersion({ stepwell }: Readonly<Record<string, string>>): number {
  return Saved.pick({ version: true }).strip().parse(JSON.parse(stepwell ?? "")).version;
}
