/**
 * Full weight up to a staleness of b, then a hyperbola: `1 / (a·(s − b) + 1)`.
 *
 * Source: s_{a,b}(t − τ) of FedAsync, Xie, Koyejo, Gupta 2019, "Asynchronous federated optimization".
 */
import { number } from "../mechanism/fields.ts";
import { f32, stalenessWeighting } from "./staleness_weighting.ts";

export const hinge = stalenessWeighting({
  class_name: "Hinge",
  summary: "Weights a contribution fully up to staleness b, beyond it by 1 / (a * (s - b) + 1).",
  fields: {
    a: number(10, "How steeply the weight falls.", { minimum: 0 }),
    b: number(4, "The staleness up to which the weight is 1.", { minimum: 0 }),
  },
  factor({ a, b }, staleness) {
    const beyond = f32(staleness - f32(b));
    return beyond <= 0 ? 1 : f32(1 / f32(f32(f32(a) * beyond) + 1));
  },
});
