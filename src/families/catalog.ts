/**
 * Every member of every family as data for people and programs: what it is called, what its config takes, and for
 * optimizers the slots and formulas of each variant. Nothing here is written by hand; it derives from the members.
 */
import { z } from "zod";
import { aggregators } from "./aggregators/mod.ts";
import { constraints } from "./constraints/mod.ts";
import type { Config, Family, Member } from "./family.ts";
import { initializers } from "./initializers/mod.ts";
import type { OptimizerMember, Rule } from "./optimizers/definition.ts";
import { optimizers } from "./optimizers/mod.ts";
import { parseOptimizer, ruleOf } from "./optimizers/optimizer.ts";
import { schedules } from "./schedules/mod.ts";
import { stalenessWeightings } from "./staleness_weightings/mod.ts";
import { transformers } from "./transformers/mod.ts";

export interface CatalogMember {
  readonly class_name: string;
  readonly aliases: readonly string[];
  readonly summary: string;
  /** JSON Schema (2020-12) of `config`. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** One rule of an optimizer: the config that brings it out, and the formulas. */
export interface CatalogVariant {
  readonly config: Config;
  readonly slots: Rule["slots"];
  /** Whether `get_weights` lists slot after slot or variable after variable. */
  readonly slot_order: "slot" | "variable";
  readonly state: NonNullable<Rule["state"]>;
  readonly scalars: readonly string[];
  readonly dense: readonly string[];
  /** Empty lists everywhere: the dense lines run on the touched rows. */
  readonly sparse: {
    readonly all: readonly string[];
    readonly rows: readonly string[];
    readonly scalar_rows: readonly string[];
    readonly after: readonly string[];
    /** Whether every stored row counts by itself instead of duplicates being summed first. */
    readonly scatter: boolean;
  };
}

export interface CatalogOptimizer extends CatalogMember {
  readonly description: string;
  /** Config keys that can be overwritten between steps. */
  readonly attributes: readonly string[];
  /** Config key → its name in formulas, where that is another one. */
  readonly symbols: Readonly<Record<string, string>>;
  readonly variants: readonly CatalogVariant[];
}

export interface Catalog {
  readonly optimizers: readonly CatalogOptimizer[];
  readonly schedules: readonly CatalogMember[];
  readonly constraints: readonly CatalogMember[];
  readonly initializers: readonly CatalogMember[];
  readonly aggregators: readonly CatalogMember[];
  readonly staleness_weightings: readonly CatalogMember[];
  readonly transformers: readonly CatalogMember[];
}

let made: Catalog | undefined;

/** All members of all families, in the order of their lists. */
export function catalog(): Catalog {
  return made ??= {
    optimizers: optimizers.members.map(describeOptimizer),
    schedules: describe(schedules),
    constraints: describe(constraints),
    initializers: describe(initializers),
    aggregators: describe(aggregators),
    staleness_weightings: describe(stalenessWeightings),
    transformers: describe(transformers),
  };
}

function describe(family: Family<Member>): CatalogMember[] {
  return family.members.map(describeMember);
}

function describeMember({ class_name, aliases = [], summary, config }: Member): CatalogMember {
  return { class_name, aliases, summary, config: z.toJSONSchema(config, { io: "input" }) };
}

function describeOptimizer(member: OptimizerMember): CatalogOptimizer {
  const { optimizer: { constructed } } = parseOptimizer(member.class_name);
  return {
    ...describeMember(member),
    description: member.description,
    attributes: Object.keys(constructed).filter((key) => !member.fixed.includes(key)),
    symbols: member.symbols ?? {},
    variants: member.variants.map((config) => describeVariant(member, config)),
  };
}

function describeVariant({ class_name }: OptimizerMember, config: Config): CatalogVariant {
  const rule = ruleOf(parseOptimizer({ class_name, config }).optimizer);
  const { all = [], rows = [], after = [], scatter = false } = rule.sparse ?? {};
  return {
    config,
    slots: rule.slots,
    slot_order: rule.slotOrder ?? "slot",
    state: rule.state ?? {},
    scalars: rule.scalars ?? [],
    dense: rule.dense,
    sparse: { all, rows, scalar_rows: rule.sparseScalarRows ?? [], after, scatter },
  };
}
