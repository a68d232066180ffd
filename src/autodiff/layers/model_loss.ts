/** The loss of a model's output, under the names that Keras has for it: `MeanSquaredError`, `mse`. */
import { z } from "zod";
import { sameShape } from "../../tensor.ts";
import { MisfitError, type OptionValue } from "../functions/define.ts";
import { LOSSES } from "../functions/losses.ts";
import type { GraphBuilder } from "../graph.ts";
import { explain } from "./model.ts";
import { modelError } from "./topology.ts";

const SHORT: Readonly<Record<string, string>> = {
  mse: "mean_squared_error",
  mae: "mean_absolute_error",
  mape: "mean_absolute_percentage_error",
  msle: "mean_squared_logarithmic_error",
  kld: "kl_divergence",
  kldivergence: "kl_divergence",
  logcosh: "log_cosh",
};

const plain = (name: string) => name.replaceAll("_", "").toLowerCase();
const NAMES = new Map(LOSSES.map(({ name }) => [plain(name), name]));

const Config = z.strictObject({
  name: z.unknown().optional(),
  fn: z.unknown().optional(),
  dtype: z.unknown().optional(),
  reduction: z.enum(["auto", "sum_over_batch_size", "mean", "sum", "none"]).default("auto"),
  from_logits: z.boolean().optional(),
  label_smoothing: z.number().min(0).max(1).optional(),
  delta: z.number().positive().optional(),
  axis: z.literal(-1).optional(),
  ignore_class: z.null().optional(),
});

/** The functions' names as Keras' classes. */
export const lossClasses = () =>
  LOSSES.map(({ name }) =>
    name.split("_").map((part) => part.charAt(0).toUpperCase() + part.slice(1)).join("")
  )
    .map((name) => name === "KlDivergence" ? "KLDivergence" : name);

/** Adds the loss of `output` against `targets`; gives its node. Throws invalid_loss. */
export function addLoss(
  builder: GraphBuilder,
  member: unknown,
  { output, targets }: { output: number; targets: number },
) {
  const isName = typeof member === "string";
  const { class_name: className, config = {} } = isName
    ? { class_name: member }
    : (member ?? {}) as { class_name?: unknown; config?: unknown };
  const key = typeof className === "string" ? plain(className) : "";
  const name = SHORT[key] ?? NAMES.get(key);
  const row = LOSSES.find((each) => each.name === name);
  if (!row) {
    throw modelError(
      `the loss is ${JSON.stringify(className)?.slice(0, 100)}, must be one of ${lossClasses().join(", ")}`,
      "loss",
    );
  }
  const parsed = Config.safeParse(config);
  if (!parsed.success) throw modelError(`the loss: ${explain(parsed.error, config)}`, "loss.config");
  const { reduction, from_logits, label_smoothing, delta } = parsed.data;
  const rest = { from_logits, label_smoothing, delta };
  const given = Object.entries(rest).flatMap(([key, value]): [string, OptionValue][] =>
    value === undefined ? [] : [[key, value]]
  );
  const odd = given.find(([key]) => !Object.hasOwn(row.options, key));
  if (odd) throw modelError(`the loss ${row.name} has no ${odd[0]}`, `loss.config.${odd[0]}`);
  const kind = reduction === "sum" || reduction === "none" ? reduction : "mean";
  try {
    const fitting = fit(builder, { output, targets }, row.name === "sparse_categorical_crossentropy");
    return builder.call(row.name, [fitting, output], { ...Object.fromEntries(given), reduction: kind });
  } catch (error) {
    if (error instanceof MisfitError) throw modelError(error.message, "targets");
    throw error;
  }
}

/** As Keras: a last dimension of 1 may be missing, or be there beside class numbers. */
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
