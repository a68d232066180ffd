/**
 * The fair mean: clients with a greater loss count more, `Σ c·g / Σ (c + h)` with `c = weight · F^q` and
 * `h = weight · q · F^(q − 1) · lipschitz · ‖g‖²`, where F is the contribution's loss. q = 0 is the weighted mean.
 *
 * Source: Li, Sanjabi, Beirami, Smith 2020, "Fair resource allocation in federated learning" (q-FedAvg), with both
 * sides divided by L. For gradients, `lipschitz` 1 / L and a learning rate of 1 / L give q-FedSGD. Variant: 1e-10 is
 * added to each loss, as in the authors' code; ‖g‖ is taken after client_clipnorm; weights are the clients'.
 */
import { pow } from "../../../kernels/libm/mod.ts";
import { FLOAT32_MAX } from "../../float32.ts";
import { number } from "../mechanism/fields.ts";
import { aggregator, type Figures } from "./aggregator.ts";

const f32 = Math.fround;

export const qFedAvg = aggregator({
  class_name: "QFedAvg",
  summary: "Averages the contributions so that clients with a greater loss count more.",
  fields: {
    q: number(1, "How much fairness counts; 0 is the weighted mean.", { minimum: 0 }),
    lipschitz: number(1, "The estimate of the loss' curvature: 1 / the clients' learning rate.", {
      minimum: 1e-30,
      maximum: FLOAT32_MAX,
    }),
  },
  rule({ q, lipschitz }) {
    const lossOf = ({ loss }: Figures) => f32(f32(loss) + f32(1e-10));
    const weigh = (figures: Figures) => f32(f32(figures.weight) * pow(lossOf(figures), f32(q)));
    return {
      kind: "sum",
      divide: "weight",
      lossMin: 0,
      weigh,
      divisor: (figures) => {
        const slope = f32(f32(q) * pow(lossOf(figures), f32(f32(q) - 1)));
        const squares = f32(f32(lipschitz) * f32(figures.bounded * figures.bounded));
        return f32(weigh(figures) + f32(f32(f32(figures.weight) * slope) * squares));
      },
    };
  },
});
