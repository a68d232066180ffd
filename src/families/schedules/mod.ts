/** The family of learning-rate schedules: one line per member. */
import { Family } from "../mechanism/family.ts";
import { cosineDecay } from "./cosine_decay.ts";
import { cosineDecayRestarts } from "./cosine_decay_restarts.ts";
import { exponentialDecay } from "./exponential_decay.ts";
import { formula } from "./formula.ts";
import { inverseTimeDecay } from "./inverse_time_decay.ts";
import { piecewiseConstantDecay } from "./piecewise_constant_decay.ts";
import { polynomialDecay } from "./polynomial_decay.ts";
import type { ScheduleMember } from "./schedule.ts";

export const schedules = new Family<ScheduleMember>("learning-rate schedule", [
  exponentialDecay,
  inverseTimeDecay,
  polynomialDecay,
  piecewiseConstantDecay,
  cosineDecay,
  cosineDecayRestarts,
  formula,
]);
