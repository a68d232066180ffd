/**
 * The type of an optimizer: a family member whose config selects a {@link Rule}, a short program of formula lines.
 * Nothing here runs a rule; kernels/ does.
 *
 * Invariant: a rule contains no number of a config. Hyperparameters are uniforms, so that changing one compiles
 * nothing; only switches (nesterov, amsgrad, …) choose between rules.
 */
import type { Config, Member } from "../../mechanism/family.ts";
import type { Definition } from "./definition_schema.ts";

/** An update rule with exactly the order and the parentheses of its source. */
export interface Rule {
  /** In creation order: name → initial value of every element, or "w": the variable's value at its first gradient. */
  readonly slots: Readonly<Record<string, number | "w">>;
  /** "slot" (default): all variables' m, then all v. "variable": A.accumulator, A.linear, B.accumulator, … */
  readonly slotOrder?: "slot" | "variable";
  /** Scalars that live as long as the run: name → initial value. */
  readonly state?: Readonly<Record<string, number>>;
  /**
   * Lines over hyperparameters, `t` and `T = t + 1` that give one number per step, computed in float64 and rounded to
   * float32 once, as frameworks do that compute such numbers in Python or JavaScript.
   */
  readonly doubles?: readonly string[];
  /** Lines over hyperparameters, doubles, state, `t` and `T` that give one number per step, in float32. */
  readonly scalars?: readonly string[];
  /** Lines per element, over `w` (the variable), `g` (the gradient), slots, hyperparameters, doubles and scalars. */
  readonly dense: readonly string[];
  /** Whether a sparse gradient is a dense one with zeros in all other rows; then `sparse` is absent. */
  readonly sparseAsDense?: boolean;
  /** Absent: the dense lines run on the touched rows, duplicates summed first. */
  readonly sparse?: {
    /** Over all rows, without `g`. */
    readonly all?: readonly string[];
    /** Over the touched rows. */
    readonly rows?: readonly string[];
    /** Over all rows, after `rows`. */
    readonly after?: readonly string[];
    /** The row lines run for each stored row in order, including duplicates, which are not summed first. */
    readonly scatter?: boolean;
  };
  /** Other row lines where a row is one element. */
  readonly sparseScalarRows?: readonly string[];
}

/** Config keys that clip the gradients; null means no clipping. Clipping is not part of a rule. */
export const CLIPS: ReadonlySet<string> = new Set(["clipnorm", "clipvalue", "global_clipnorm"]);

/** The config keys that functions over all optimizers need. */
export interface OptimizerConfig extends Config {
  /** Absent where the framework has none. */
  readonly name?: string;
  readonly clipnorm: number | null;
  readonly clipvalue: number | null;
  readonly global_clipnorm: number | null;
  /** Absent if the optimizer has none, as a custom one may, or has another key for it. */
  readonly learning_rate?: Schedulable;
}

/** A number, or a schedule in its JSON form with every default filled in. */
export type Schedulable = number | { readonly class_name: string; readonly config: Config };

/** A config that a constructor accepted, and its warnings. */
export interface Constructed {
  readonly config: OptimizerConfig;
  readonly warnings: readonly string[];
}

/** An optimizer. `C` is the part of the config that its rule reads. */
export interface OptimizerMember<C extends Config = Config> extends Member {
  /** The source of the rule and the variant implemented. */
  readonly description: string;
  /** Keys that Keras keeps in float32 variables once the optimizer is in use. */
  readonly hyper: readonly string[];
  /** Keys that only the constructor reads: overwriting them later has no effect. */
  readonly fixed: readonly string[];
  /** Keys that may hold a schedule instead of a number. */
  readonly schedulable: readonly string[];
  /**
   * Formula names of keys that have another name in formulas: `{momentum: "mu"}`. An item of a list has the key
   * `"betas.0"`. A switch with a name is 1 where it is on, else 0.
   */
  readonly symbols?: Readonly<Record<string, string>>;
  /** The key of the learning rate, which formulas call `learning_rate`. The config may lack it, as a custom one's. */
  readonly rateKey: string;
  /** Whether config `decay` divides the learning rate by `1 + decay · t`. */
  readonly timeDecay: boolean;
  /** How weight lists saved by Keras' first optimizers differ; `set_weights` accepts those too. */
  readonly savedByVersion1?: "without_iterations" | "with_vhat";
  /** The registered definition; absent for built-in optimizers. */
  readonly definition?: Definition;
  /** Configs that together select every rule of this optimizer; the first is the default. */
  readonly variants: readonly Config[];
  /** Why overwriting `key` has no effect on an optimizer constructed this way; undefined if it has one. */
  idle?(constructed: Config, key: string): string | undefined;
  /** The config as its framework writes it, from the current attributes; absent: all keys that are not null. */
  written?(config: Config): Config;
  /** Turns what `get_config` gives into a config that constructs the same optimizer, where Keras' own does not. */
  again?(config: Config): Config;
  /** Constructs from a checked config; `given` is the config as it was sent. */
  construct(config: Config, given: Config, path: string): Constructed;
  /** `constructed` has what only the constructor decides, `current` the current attributes. */
  rule(constructed: C, current: C): Rule;
}
