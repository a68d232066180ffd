/**
 * Half cosines one after another, each t_mul times as long and m_mul times as high as the one before.
 *
 * Source: Loshchilov, Hutter 2017, "SGDR: Stochastic gradient descent with warm restarts".
 * Variant: Keras' form. m_mul does not scale the floor alpha. Because of float32 logarithms, a restart comes one
 * period late at some exact boundaries, as in Keras.
 */
import { cos, log, pow } from "../../../kernels/libm/mod.ts";
import { float32 } from "../../float32.ts";
import { number } from "../mechanism/fields.ts";
import { f32, floor, initialRate, schedule, scheduleName } from "./schedule.ts";

export const cosineDecayRestarts = schedule({
  class_name: "CosineDecayRestarts",
  summary: "Falls along half a cosine again and again.",
  fields: {
    initial_learning_rate: initialRate(),
    first_decay_steps: float32().describe("How many steps the first way down takes."),
    t_mul: number(2, "How many times as long each period is as the one before."),
    m_mul: number(1, "How many times as high each period starts as the one before."),
    alpha: floor(0),
    name: scheduleName(),
  },
  value(config, step) {
    const alpha = f32(config.alpha);
    const done = f32(step / f32(config.first_decay_steps));
    const { period, fraction } = locate(done, f32(config.t_mul));
    const height = pow(f32(config.m_mul), period);
    const wave = f32(f32(0.5 * height) * f32(1 + cos(f32(f32(Math.PI) * fraction))));
    return f32(f32(config.initial_learning_rate) * f32(f32(f32(1 - alpha) * wave) + alpha));
  },
});

/** The index of the current period, and the fraction of it that has passed. */
function locate(done: number, growth: number): { period: number; fraction: number } {
  if (growth === 1) {
    const period = Math.floor(done);
    return { period, fraction: f32(done - period) };
  }
  const less = f32(1 - growth);
  const period = Math.floor(f32(log(f32(1 - f32(done * less))) / log(growth)));
  const length = pow(growth, period);
  const before = f32(f32(1 - length) / less);
  return { period, fraction: f32(f32(done - before) / length) };
}
