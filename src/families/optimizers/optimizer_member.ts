/**
 * What an optimizer is: a member of its family whose config turns into a {@link Rule}, a short program of
 * formula lines. Nothing here runs a rule; kernels/ does.
 *
 * Invariant: a rule holds no number of any config. Hyperparameters are uniforms, so that changing one
 * compiles nothing; only switches (nesterov, amsgrad, …) choose between rules.
 */
import type { Config, Member } from "../mechanism/family.ts";
import type { Definition } from "./definition_schema.ts";

/** An update rule, exactly in the order and with the parentheses of its source. */
export interface Rule {
  /** In creation order: name → initial value of every element, or "w": the variable as its first gradient finds it. */
  readonly slots: Readonly<Record<string, number | "w">>;
  /** "slot" (default): all variables' m, then all v. "variable": A.accumulator, A.linear, B.accumulator, … */
  readonly slotOrder?: "slot" | "variable";
  /** Scalars that live as long as the run: name → initial value. */
  readonly state?: Readonly<Record<string, number>>;
  /** Lines over hyperparameters, state, `t` and `T = t + 1` that give one number a step. */
  readonly scalars?: readonly string[];
  /** Lines per element, over `w` (the variable), `g` (the gradient), slots, hyperparameters and scalars. */
  readonly dense: readonly string[];
  /** Absent: the dense lines run on the touched rows, duplicates summed first. */
  readonly sparse?: {
    /** Over all rows, without `g`. */
    readonly all?: readonly string[];
    /** Over the touched rows. */
    readonly rows?: readonly string[];
    /** Over all rows once the rows are done. */
    readonly after?: readonly string[];
    /** The row lines run for each stored row in order, duplicates included: nothing is summed first. */
    readonly scatter?: boolean;
  };
  /** Other row lines where a row is one element. */
  readonly sparseScalarRows?: readonly string[];
}

/** Config keys that limit the gradients, null where they do not; clipping is not part of a rule. */
export const CLIPS: ReadonlySet<string> = new Set(["clipnorm", "clipvalue", "global_clipnorm"]);

/** The keys that every optimizer's config has, as far as the functions over all optimizers need them. */
export interface OptimizerConfig extends Config {
  readonly name: string;
  readonly clipnorm: number | null;
  readonly clipvalue: number | null;
  readonly global_clipnorm: number | null;
  /** Absent where the optimizer has none: a custom one need not. */
  readonly learning_rate?: Schedulable;
}

/** A number, or a schedule in its JSON form with every default filled in. */
export type Schedulable = number | { readonly class_name: string; readonly config: Config };

/** A config that a constructor accepted, and what it has to say about it. */
export interface Constructed {
  readonly config: OptimizerConfig;
  readonly warnings: readonly string[];
}

/** One optimizer. `C` is the part of the config that its rule reads. */
export interface OptimizerMember<C extends Config = Config> extends Member {
  /** Where the rule is from and which variant of it this is. */
  readonly description: string;
  /** Keys that Keras keeps in float32 variables once the optimizer is in use. */
  readonly hyper: readonly string[];
  /** Keys that only the constructor reads: overwriting them later has no effect. */
  readonly fixed: readonly string[];
  /** Keys that may hold a schedule instead of a number. */
  readonly schedulable: readonly string[];
  /** Formula names of keys that may not stand in a formula by themselves: `{momentum: "mu"}`. */
  readonly symbols?: Readonly<Record<string, string>>;
  /** Whether config `decay` divides the learning rate by `1 + decay · t`. */
  readonly timeDecay: boolean;
  /** How lists of weights differ that Keras' first optimizers saved: `set_weights` takes those too. */
  readonly savedByVersion1?: "without_iterations" | "with_vhat";
  /** As it was registered; absent of built-in ones. */
  readonly definition?: Definition;
  /** Configs that between them bring out every rule of this optimizer; the first is the default one. */
  readonly variants: readonly Config[];
  /** Why overwriting `key` has no effect on an optimizer that was constructed so; undefined: it has one. */
  idle?(constructed: Config, key: string): string | undefined;
  /** What the constructor makes of a checked config; `given` is the config as it was sent. */
  construct(config: Config, given: Config, path: string): Constructed;
  /** `constructed` decides what only the constructor decides, `current` holds the attributes as they are now. */
  rule(constructed: C, current: C): Rule;
}
