/**
 * The constructor of Keras' legacy optimizers (`tf.keras.optimizers.legacy`): `decay`, the old `lr`, an epsilon
 * that cannot be 0, and Keras' checks in Keras' order.
 *
 * Not for optimizers that Keras' legacy family lacks (see `optimizer` in base.ts). Invariant: it accepts what Keras
 * accepts and refuses what Keras refuses; where Keras is surprising, a warning says so.
 */
import { z } from "zod";
import type { Config } from "../../mechanism/family.ts";
import { float32 } from "../../../float32.ts";
import { number } from "../../mechanism/fields.ts";
import {
  baseFields,
  bothNorms,
  type BuiltIn,
  constructBase,
  SCHEDULABLE,
  type Values,
} from "../member/base.ts";
import { RATE } from "../member/numbers.ts";
import type {
  Constructed,
  OptimizerConfig,
  OptimizerMember,
  Schedulable,
} from "../member/optimizer_member.ts";

/** Keras' backend epsilon, which replaces an epsilon of 0 or null. */
export const BACKEND_EPSILON = 1e-7;

interface LegacyBuiltIn<F extends z.ZodRawShape> extends BuiltIn<F> {
  /** Keys that the subclass checks before its base class. */
  readonly checkedFirst?: readonly string[];
  /** "ignored": the constructor takes `lr` and forgets it (Ftrl). */
  readonly lr?: "override" | "ignored";
  /** "discarded": `schedule_decay` overwrites `decay`, and the learning rate does not decay (Nadam). */
  readonly decay?: "time" | "discarded";
  /** Checks of this constructor beyond those of the base class. */
  readonly check?: OptimizerMember["check"];
  warn?(config: OptimizerConfig): readonly string[];
}

/** An epsilon as Keras has it: 0 and null become 1e-7. */
export function epsilon() {
  return float32().nullable().default(BACKEND_EPSILON)
    .describe("A small constant against division by zero; 0 or null becomes 1e-7, as in Keras.");
}

/** An `idle` function: the constructor decides once and for all whether there is momentum. */
export function withoutMomentum({ momentum }: Config, key: string): string | undefined {
  return key === "momentum" && momentum === 0 ? "this optimizer was constructed without momentum" : undefined;
}

export const DECAY = number(0, "Divides the learning rate of step t by 1 + decay · t.", { minimum: 0 });
const LR = float32({ minimum: 0 }).optional();

const BASE_KEYWORDS = new Set(["clipnorm", "clipvalue", "global_clipnorm", "decay", "lr"]);

/** Defines a member of Keras' legacy family. */
export function legacy<F extends z.ZodRawShape>(
  builtIn: LegacyBuiltIn<F>,
): OptimizerMember<Values<F> & Config> {
  const { class_name, learningRate, fields, hyper, fixed, checkedFirst, lr, decay, check, warn, ...rest } =
    builtIn;
  const discarded = decay === "discarded";
  const config = z.strictObject({
    ...baseFields(class_name, learningRate),
    decay: discarded
      ? float32().nullable().default(0.004).describe("Discarded: give schedule_decay.")
      : DECAY,
    ...fields,
    ...discarded &&
      { schedule_decay: number(0.004, "How fast the momentum schedule warms up.", { minimum: 0 }) },
    lr: lr === "ignored"
      ? LR.nullable().describe("Ignored: give learning_rate.")
      : LR.describe("The old name of learning_rate, which it overrides."),
  });
  return {
    ...rest,
    class_name,
    config,
    hyper: ["learning_rate", ...hyper],
    fixed: ["name", "decay", ...fixed ?? []],
    schedulable: SCHEDULABLE,
    timeDecay: !discarded,
    rateKey: RATE,
    check: (given) => [...bothNorms(given), ...check?.(given) ?? []],
    // Keras' order: early checks of the subclass, the base class's keywords in the order given, both norms, the rest.
    rank: (key, kind) => {
      if (checkedFirst?.includes(key)) return 0;
      if (kind === "across") return 2;
      return BASE_KEYWORDS.has(key) || !Object.hasOwn(config.shape, key) ? 1 : 3;
    },
    // Keras forgets it here: its constructor discards the `decay` that get_config gives.
    ...discarded && { again: (config: Config) => ({ ...config, schedule_decay: config["decay"] }) },
    construct: (checked, given, path) => {
      const base = constructBase({ class_name, schedulable: SCHEDULABLE }, checked, path);
      const { config: changed, warnings } = keywords(base.config, given, { lr, discarded });
      return { config: changed, warnings: [...base.warnings, ...warnings, ...warn?.(changed) ?? []] };
    },
  };
}

/** Treats the old keywords and epsilon as Keras' constructor does. */
function keywords(
  config: OptimizerConfig,
  given: Config,
  { lr: lrUse, discarded }: { lr: "override" | "ignored" | undefined; discarded: boolean },
): Constructed {
  const { lr, schedule_decay, ...rest } = config as OptimizerConfig & Config;
  const changed: Record<string, unknown> = rest;
  const warnings: string[] = [];
  if (lr !== undefined && lrUse === "ignored") {
    warnings.push(`lr ${lr} is ignored, as Keras does here: learning_rate stays ${show(rest.learning_rate)}`);
  } else if (lr !== undefined) {
    warnings.push(overrides(lr, rest.learning_rate));
    changed["learning_rate"] = lr;
  }
  if (discarded) {
    if ("decay" in given) {
      warnings.push(`decay ${given["decay"]} is discarded, as in Keras: schedule_decay is ${schedule_decay}`);
    }
    changed["decay"] = schedule_decay;
  }
  if ("epsilon" in config && !config["epsilon"]) {
    warnings.push(`epsilon ${config["epsilon"]} becomes ${BACKEND_EPSILON}, as in Keras`);
    changed["epsilon"] = BACKEND_EPSILON;
  }
  return { config: changed as OptimizerConfig, warnings };
}

/** The warning about an `lr` given beside a learning rate. */
export function overrides(lr: unknown, rate: Schedulable | undefined): string {
  return `lr is deprecated, use learning_rate: ${lr} overrides ${show(rate)}`;
}

function show(rate: Schedulable | undefined): string {
  return typeof rate === "object" ? rate.class_name : String(rate);
}
