/**
 * A rate that shrinks by a constant factor: `rate · decay_rate ^ (step / decay_steps)`.
 *
 * Variant: staircase floors the exponent, even below 0.
 */
import { pow } from "../../../kernels/libm/mod.ts";
import { float32 } from "../../float32.ts";
import { flag } from "../mechanism/fields.ts";
import { f32, initialRate, schedule, scheduleName } from "./schedule.ts";

export const exponentialDecay = schedule({
  class_name: "ExponentialDecay",
  summary: "Multiplies the rate by decay_rate every decay_steps steps.",
  fields: {
    initial_learning_rate: initialRate(),
    decay_steps: float32().describe("How many steps one factor takes."),
    decay_rate: float32().describe("The factor."),
    staircase: flag(false, "Change the rate only every decay_steps steps."),
    name: scheduleName(),
  },
  value(config, step) {
    const quotient = f32(step / f32(config.decay_steps));
    const power = config.staircase ? Math.floor(quotient) : quotient;
    return f32(f32(config.initial_learning_rate) * pow(f32(config.decay_rate), power));
  },
});
