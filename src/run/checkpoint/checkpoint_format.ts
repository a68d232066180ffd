/**
 * What a checkpoint's file holds: tensors `variables/NAME` and `slots/SLOT/NAME`; the rest is JSON under the key `stepwell`
 * of the file's metadata. Written by checkpoint.ts, read by checkpoint_reader.ts.
 */
import { z } from "zod";
import { DEADLINE_SECONDS_MAX, NOISE_SEED_MAX } from "../api/run_spec.ts";

/** Of the metadata; a change that older code cannot read raises it. */
export const FORMAT_VERSION = 1;

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

export const Saved = z.strictObject({
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

export const variableTensor = (name: string) => `variables/${name}`;
export const slotTensor = (slot: string, name: string) => `slots/${slot}/${name}`;

/** The version of the run in the metadata of a snapshot. */
export function savedVersion({ stepwell }: Readonly<Record<string, string>>): number {
  return Saved.pick({ version: true }).strip().parse(JSON.parse(stepwell ?? "")).version;
}
