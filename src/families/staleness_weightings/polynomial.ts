/**
 * A power of the staleness s: `(1 + s) ^ −exponent`.
 *
 * Source: s_a(t − τ) of FedAsync, Xie, Koyejo, Gupta 2019, "Asynchronous federated optimization"; with 0.5 also the
 * 1 / √(1 + s) of FedBuff, Nguyen et al. 2022, "Federated learning with buffered asynchronous aggregation".
 */
import { pow } from "../../../kernels/libm/mod.ts";
import { number } from "../mechanism/fields.ts";
import { f32, stalenessWeighting } from "./staleness_weighting.ts";

export const polynomial = stalenessWeighting({
  class_name: "Polynomial",
  summary: "Weights a contribution of staleness s by (1 + s) ^ -exponent.",
  fields: { exponent: number(0.5, "The power; 0 weights all alike.", { minimum: 0 }) },
  factor: ({ exponent }, staleness) => pow(f32(1 + staleness), -f32(exponent)),
});
