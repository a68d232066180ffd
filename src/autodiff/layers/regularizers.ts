/** The terms of Keras' weight regularizers in the loss: `l1 * sum(abs(w)) + l2 * sum(square(w))`. */
import { z } from "zod";
import { float32 } from "../../float32.ts";
import { MisfitError } from "../functions/define.ts";
import type { GraphBuilder } from "../graph/loss_graph.ts";

const share = () => float32({ minimum: 0 }).default(0);
const Config = z.looseObject({
  class_name: z.enum(["L1", "L2", "L1L2"]),
  config: z.strictObject({ l1: share(), l2: share() }),
});

/** The config key of a weight's regularizer: `recurrent_regularizer` for `recurrent_kernel`. */
export const regularizerOf = (weight: string) => `${weight.replace(/_kernel$/, "")}_regularizer`;

/** The terms that a weight adds; none without a regularizer. Throws MisfitError. */
export function penalty(
  builder: GraphBuilder,
  node: number,
  { key, config }: { readonly key: string; readonly config: Readonly<Record<string, unknown>> },
): number[] {
  const given = config[key] ?? null;
  if (given === null) return [];
  const parsed = Config.safeParse(given);
  if (!parsed.success) {
    throw new MisfitError(`${key} must be null, or an L1, an L2 or an L1L2 with shares from 0`);
  }
  const { l1, l2 } = parsed.data.config;
  const term = (share: number, name: string) =>
    share === 0 ? [] : [
      builder.call("multiply", [
        builder.constant(share),
        builder.call("sum", [builder.call(name, [node])]),
      ]),
    ];
  return [...term(l1, "abs"), ...term(l2, "square")];
}
