/**
 * A rate that shrinks with the inverse of time: `rate / (1 + decay_rate · step / decay_steps)`.
 *
 * Variant: staircase floors the quotient.
 */
import { float32 } from "../../float32.ts";
import { flag } from "../mechanism/fields.ts";
import { f32, initialRate, schedule, scheduleName } from "./schedule.ts";

export const inverseTimeDecay = schedule({
  class_name: "InverseTimeDecay",
  summary: "Divides the rate by 1 + decay_rate · step / decay_steps.",
  fields: {
    initial_learning_rate: initialRate(),
    decay_steps: float32().describe("The unit of time, in steps."),
    decay_rate: float32().describe("How much a unit of time adds to the divisor."),
    staircase: flag(false, "Change the rate only every decay_steps steps."),
    name: scheduleName(),
  },
  value(config, step) {
    const quotient = f32(step / f32(config.decay_steps));
    const elapsed = config.staircase ? Math.floor(quotient) : quotient;
    return f32(f32(config.initial_learning_rate) / f32(1 + f32(f32(config.decay_rate) * elapsed)));
  },
});
