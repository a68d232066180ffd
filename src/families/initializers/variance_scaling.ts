/**
 * Random values with variance scale / n, where n is the number of inputs, of outputs, or their mean.
 *
 * Sources: Glorot, Bengio 2010; He et al. 2015; LeCun et al. 1998. Their initializers are this one with fixed
 * arguments. Variant: Keras'. The last two axes are inputs and outputs, the axes before them a receptive field. The
 * deviation of the truncated distribution is enlarged, so that the variance is right after truncation.
 */
import { z } from "zod";
import { elementCount, type Shape } from "../../tensor.ts";
import { number } from "../mechanism/fields.ts";
import { type Fill, initializer, type InitializerMember, type Place, seed } from "./initializer.ts";
import { draw } from "./sampler.ts";

const MODES = ["fan_in", "fan_out", "fan_avg"] as const;
const DISTRIBUTIONS = ["truncated_normal", "untruncated_normal", "uniform", "normal"] as const;

interface Scaling {
  readonly scale: number;
  readonly mode: (typeof MODES)[number];
  readonly distribution: (typeof DISTRIBUTIONS)[number];
}

/** The standard deviation of a standard normal distribution cut off at ±2. */
const TRUNCATED_DEVIATION = 0.87962566103423978;

export const varianceScaling = initializer({
  class_name: "VarianceScaling",
  aliases: ["variance_scaling"],
  summary: "A variance that suits the number of inputs or outputs.",
  fields: {
    scale: number(1, "The variance times the number.", { minimum: 1e-30 }),
    mode: z.enum(MODES).default("fan_in").describe("Which number: of inputs, of outputs, or their mean."),
    distribution: z.enum(DISTRIBUTIONS).default("truncated_normal").describe(
      "normal means truncated_normal.",
    ),
    seed: seed(),
  },
  initialize: (config, place) => drawScaled(config, config.seed, place),
});

/** Defines an initializer that is VarianceScaling with fixed arguments. */
export function scaled(member: {
  readonly class_name: string;
  readonly aliases: readonly string[];
  readonly summary: string;
  readonly scaling: Scaling;
}): InitializerMember {
  const { scaling, ...rest } = member;
  return initializer({
    ...rest,
    fields: { seed: seed() },
    initialize: (config, place) => drawScaled(scaling, config.seed, place),
  });
}

function drawScaled(
  { scale, mode, distribution }: Scaling,
  seed: number | null,
  { shape, drawSeed }: Place,
): Fill {
  const { inputs, outputs } = countFans(shape);
  const fans = { fan_in: inputs, fan_out: outputs, fan_avg: (inputs + outputs) / 2 };
  const variance = scale / Math.max(1, fans[mode]);
  const rest = { seed: seed ?? drawSeed() };
  if (distribution === "uniform") {
    const limit = Math.sqrt(3 * variance);
    return draw({ distribution, from: -limit, to: limit, ...rest });
  }
  const deviation = Math.sqrt(variance);
  return distribution === "untruncated_normal"
    ? draw({ distribution: "normal", from: 0, to: deviation, ...rest })
    : draw({ distribution: "truncated_normal", from: 0, to: deviation / TRUNCATED_DEVIATION, ...rest });
}

function countFans(shape: Shape): { inputs: number; outputs: number } {
  const outputs = shape.at(-1) ?? 1;
  const inputs = shape.at(-2) ?? outputs;
  const field = elementCount(shape.slice(0, -2));
  return { inputs: inputs * field, outputs: outputs * field };
}
