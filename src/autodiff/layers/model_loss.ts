/** Losses of a model's output under their Keras names: `MeanSquaredError`, `mse`. */
import { z } from "zod";
import { positive } from "../../float32.ts";
import { sameShape } from "../../tensor.ts";
import { MisfitError, type OptionValue, type TensorFunction } from "../functions/define.ts";
import { LOSSES } from "../functions/loss_functions.ts";
import type { GraphBuilder } from "../graph/loss_graph.ts";
import { explain } from "./model.ts";
import { modelError } from "./topology.ts";

/** Keras' short names, besides the functions' own names. */
const SHORT: Readonly<Record<string, readonly string[]>> = {
  mean_squared_error: ["mse"],
  mean_absolute_error: ["mae"],
  mean_absolute_percentage_error: ["mape"],
  mean_squared_logarithmic_error: ["msle"],
  kl_divergence: ["kld", "kullback_leibler_divergence"],
  huber: ["huber_loss"],
  binary_crossentropy: ["bce"],
};

/** The keys that Keras writes into the config of every loss. */
const COMMON = {
  name: z.unknown().optional(),
  fn: z.unknown().optional(),
  dtype: z.unknown().optional(),
  reduction: z.enum(["auto", "sum_over_batch_size", "mean", "sum", "none"]).default("auto"),
  axis: z.literal(-1).optional(),
  ignore_class: z.null().optional(),
};
/** The keys of some losses. */
const OWN = {
  from_logits: z.boolean().default(false),
  label_smoothing: z.number().min(0).max(1).default(0),
  delta: positive().default(1),
};
type Own = keyof typeof OWN;
const isOwn = (key: string): key is Own => Object.hasOwn(OWN, key);

export interface LossClass {
  readonly className: string;
  readonly aliases: readonly string[];
  readonly row: TensorFunction;
  /** The keys of its config that have an effect. */
  readonly keys: readonly ("reduction" | Own)[];
  readonly config: z.ZodObject;
}

/** Every loss that a model may have: Keras' class and its aliases. */
export const LOSS_CLASSES: readonly LossClass[] = LOSSES.map((row) => {
  const words = row.name.split("_").map((part) => part.charAt(0).toUpperCase() + part.slice(1));
  const own = Object.keys(row.options).filter(isOwn);
  return {
    className: words.join("").replace(/^Kl/, "KL"),
    aliases: [row.name, ...SHORT[row.name] ?? []],
    row,
    keys: ["reduction", ...own],
    config: z.strictObject({ ...COMMON, ...Object.fromEntries(own.map((key) => [key, OWN[key]])) }),
  };
});

const plain = (name: string) => name.replaceAll("_", "").toLowerCase();
const BY_NAME = new Map(
  LOSS_CLASSES.flatMap((each) => [each.className, ...each.aliases].map((name) => [plain(name), each])),
);

interface Compared {
  readonly output: number;
  readonly targets: number;
  readonly penalties: readonly number[];
}

/** Adds the loss of `output` against `targets`, and penalties. Returns its node. Throws invalid_loss. */
export function addLoss(
  builder: GraphBuilder,
  member: unknown,
  { output, targets, penalties }: Compared,
): number {
  const isName = typeof member === "string";
  const { class_name: className, config = {} } = isName
    ? { class_name: member }
    : (member ?? {}) as { class_name?: unknown; config?: unknown };
  const found = BY_NAME.get(typeof className === "string" ? plain(className) : "");
  if (!found) {
    const names = LOSS_CLASSES.map(({ className }) => className).join(", ");
    throw modelError(
      `the loss is ${JSON.stringify(className)?.slice(0, 100)}, must be one of ${names}`,
      "loss",
    );
  }
  const { row, keys } = found;
  const parsed = found.config.safeParse(config);
  if (!parsed.success) {
    throw modelError(`the loss ${found.className}: ${explain(parsed.error, config, keys)}`, "loss.config");
  }
  const { reduction, ...rest } = parsed.data;
  const given = Object.fromEntries(keys.filter(isOwn).map((key) => [key, rest[key] as OptionValue]));
  const kind = reduction === "sum" || reduction === "none" ? reduction : "mean";
  if (penalties.length > 0 && kind === "none") {
    throw modelError(
      "the loss has the reduction none, must have another where layers have regularizers",
      "loss",
    );
  }
  const logits = logitsOf(builder, output, row.name);
  const options = { ...given, ...logits !== undefined && { from_logits: true }, reduction: kind };
  try {
    const fitting = fit(builder, { output, targets }, row.name === "sparse_categorical_crossentropy");
    const loss = builder.call(row.name, [fitting, logits ?? output], options);
    return penalties.reduce((sum, penalty) => builder.call("add", [sum, penalty]), loss);
  } catch (error) {
    if (error instanceof MisfitError) throw modelError(error.message, "targets");
    throw error;
  }
}

const ACTIVATION_OF: Readonly<Record<string, string>> = {
  categorical_crossentropy: "softmax",
  sparse_categorical_crossentropy: "softmax",
  binary_crossentropy: "sigmoid",
};

/** As in Keras: if an activation made the output from logits, cross-entropy uses the logits, which is exact. */
function logitsOf(builder: GraphBuilder, output: number, loss: string): number | undefined {
  const node = builder.nodes[output];
  return node?.kind === "call" && node.name === ACTIVATION_OF[loss] ? node.args[0] : undefined;
}

/** As in Keras: targets may lack a last dimension of 1, and class numbers may have one more. */
function fit(
  builder: GraphBuilder,
  { output, targets }: { output: number; targets: number },
  isSparse: boolean,
) {
  const to = builder.shape(output), from = builder.shape(targets);
  const wanted = isSparse ? to.slice(0, -1) : to;
  const isLess = sameShape([...from, 1], wanted), isMore = sameShape(from, [...wanted, 1]);
  return isLess || isMore ? builder.call("reshape", [targets], { shape: wanted }) : targets;
}
