/**
 * A rate that falls along half a cosine, after a linear warm-up if there is a warmup_target.
 *
 * Source: Loshchilov, Hutter 2017, "SGDR: Stochastic gradient descent with warm restarts"; warm-up: Goyal et al.
 * 2017.
 * Variant: decay_steps count after the warm-up; alpha is a fraction of the peak; `1 − alpha` is a float64
 * difference, rounded once (in CosineDecayRestarts a float32 one); without a target warmup_steps have no effect.
 */
import { cos } from "../../../kernels/libm/mod.ts";
import { float32 } from "../../float32.ts";
import { maybeNumber, nullIsAbsent, number } from "../mechanism/fields.ts";
import { f32, floor, initialRate, schedule, scheduleName } from "./schedule.ts";

export const cosineDecay = schedule({
  class_name: "CosineDecay",
  summary: "Falls along half a cosine, optionally after a linear warm-up.",
  fields: {
    initial_learning_rate: initialRate(),
    decay_steps: float32().describe("How many steps the way down takes, after the warm-up."),
    alpha: floor(0),
    name: scheduleName(),
    warmup_target: maybeNumber("The rate at the end of the warm-up; null: no warm-up."),
    warmup_steps: nullIsAbsent(number(0, "How many steps the warm-up takes.")),
  },
  value(config, step) {
    const rate = f32(config.initial_learning_rate);
    const steps = f32(config.decay_steps);
    const decayed = (from: number, at: number) => {
      const wave = f32(0.5 * f32(1 + cos(f32(f32(Math.PI) * f32(at / steps)))));
      return f32(from * f32(f32(f32(1 - config.alpha) * wave) + f32(config.alpha)));
    };
    if (config.warmup_target === null) return decayed(rate, Math.min(step, steps));
    const target = f32(config.warmup_target);
    const warmup = f32(config.warmup_steps);
    const at = Math.min(step, f32(steps + warmup));
    return at < warmup
      ? f32(f32(f32(target - rate) * f32(at / warmup)) + rate)
      : decayed(target, f32(at - warmup));
  },
});
