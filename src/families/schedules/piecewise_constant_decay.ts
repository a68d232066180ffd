/**
 * A rate for each stretch of steps: `values[k]` while `boundaries[k − 1] < step ≤ boundaries[k]`.
 *
 * Variant: the upper bound belongs to the stretch. Empty or unsorted boundaries are refused at once; Keras fails at
 * the first step.
 */
import { z } from "zod";
import { float32 } from "../../float32.ts";
import { f32, schedule, scheduleName } from "./schedule.ts";

export const piecewiseConstantDecay = schedule({
  class_name: "PiecewiseConstantDecay",
  summary: "A constant rate for each stretch between boundaries.",
  fields: {
    boundaries: z.array(float32()).min(1).describe("The last step of each stretch but the last; rising."),
    values: z.array(float32()).min(2).describe("The rates: one more than boundaries."),
    name: scheduleName(),
  },
  check({ boundaries, values }) {
    if (!Array.isArray(boundaries) || !Array.isArray(values)) return [];
    if (values.length !== boundaries.length + 1) {
      return [{
        key: "values",
        message: `has ${values.length} entries beside ${boundaries.length} boundaries, must have one more`,
      }];
    }
    const at = boundaries.findIndex((bound, index) => index > 0 && bound <= boundaries[index - 1]);
    return at < 0 ? [] : [{
      key: "boundaries",
      message: `has ${boundaries[at]} after ${boundaries[at - 1]}, must be rising`,
    }];
  },
  value({ boundaries, values }, step) {
    const at = boundaries.findIndex((bound) => step <= f32(bound));
    return f32(values.at(at) ?? NaN);
  },
});
