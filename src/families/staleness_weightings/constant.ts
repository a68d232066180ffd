/**
 * The factor is 1 at any staleness.
 *
 * Source: s(t − τ) = 1 of FedAsync, Xie, Koyejo, Gupta 2019, "Asynchronous federated optimization".
 */
import { stalenessWeighting } from "./staleness_weighting.ts";

export const constant = stalenessWeighting({
  class_name: "Constant",
  summary: "Weights a stale contribution like a fresh one.",
  fields: {},
  factor: () => 1,
});
