/** Every member of every family, with a config that has what it needs. */
import { aggregators } from "../../../src/families/aggregators/mod.ts";
import { clipNorms } from "../../../src/families/clip_norms/mod.ts";
import { constraints } from "../../../src/families/constraints/mod.ts";
import type { Family, Member } from "../../../src/families/mechanism/family.ts";
import { initializers } from "../../../src/families/initializers/mod.ts";
import { optimizers } from "../../../src/families/optimizers/mod.ts";
import { schedules } from "../../../src/families/schedules/mod.ts";
import { stalenessWeightings } from "../../../src/families/staleness_weightings/mod.ts";
import { transformers } from "../../../src/families/transformers/mod.ts";

export const FAMILIES: Record<string, Family<Member>> = {
  optimizers,
  schedules,
  constraints,
  initializers,
  aggregators,
  staleness_weightings: stalenessWeightings,
  clip_norms: clipNorms,
  transformers,
};

/** Values for the fields that have no default. */
const REQUIRED: Record<string, Record<string, unknown>> = {
  ExponentialDecay: { initial_learning_rate: 0.1, decay_steps: 10, decay_rate: 0.5 },
  InverseTimeDecay: { initial_learning_rate: 0.1, decay_steps: 10, decay_rate: 0.5 },
  PolynomialDecay: { initial_learning_rate: 0.1, decay_steps: 10 },
  PiecewiseConstantDecay: { boundaries: [10], values: [0.1, 0.2] },
  CosineDecay: { initial_learning_rate: 0.1, decay_steps: 10 },
  CosineDecayRestarts: { initial_learning_rate: 0.1, first_decay_steps: 10 },
  ClipByValue: { clip_value: 1 },
  ClipByNorm: { clip_norm: 1 },
  NormBoundedMean: { norm_bound: 1 },
  Krum: { byzantine: 1 },
  MultiKrum: { byzantine: 1 },
  Bulyan: { byzantine: 1 },
  AddGaussianNoise: { stddev: 1, seed: 0 },
};

/** The same, for members whose name exists in several families. */
const FORMULAS: Record<string, Record<string, unknown>> = {
  schedules: { expression: "0.1 / sqrt(T)" },
  transformers: { lines: ["g = clamp(g, -1, 1)"] },
  constraints: { lines: ["w = clamp(w, -1, 1)"] },
  aggregators: { weight: "weight / (1 + staleness)" },
};

const givenOf = (folder: string, { class_name }: Member) =>
  (class_name === "Formula" ? FORMULAS[folder] : REQUIRED[class_name]) ?? {};

export const MEMBERS = Object.entries(FAMILIES).flatMap(([folder, family]) =>
  family.members.map((member) => ({ folder, family, member, given: givenOf(folder, member) }))
);
