/**
 * A rate that falls along a polynomial: `(rate − end) · (1 − step / decay_steps) ^ power + end`.
 *
 * Variant: after decay_steps the rate is constant; with cycle the decay restarts each time, over a longer stretch.
 */
import { pow } from "../../../kernels/libm/mod.ts";
import { float32 } from "../../float32.ts";
import { flag, number } from "../mechanism/fields.ts";
import { f32, initialRate, schedule, scheduleName } from "./schedule.ts";

export const polynomialDecay = schedule({
  class_name: "PolynomialDecay",
  summary: "Falls from the initial rate to end_learning_rate along a polynomial.",
  fields: {
    initial_learning_rate: initialRate(),
    decay_steps: float32().describe("How many steps the way down takes."),
    end_learning_rate: number(0.0001, "The rate at the end."),
    power: number(1, "The power of the polynomial; 1 is a straight line."),
    cycle: flag(false, "Start anew at each end, from lower down."),
    name: scheduleName(),
  },
  value(config, step) {
    const end = f32(config.end_learning_rate);
    const steps = f32(config.decay_steps);
    const rounds = step === 0 ? 1 : Math.ceil(f32(step / steps));
    const done = config.cycle ? f32(step / f32(steps * rounds)) : f32(Math.min(step, steps) / steps);
    const left = pow(f32(1 - done), f32(config.power));
    return f32(f32(f32(f32(config.initial_learning_rate) - end) * left) + end);
  },
});
