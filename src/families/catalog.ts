/**
 * The catalogue: every member of every family as data for people and programs. It lists names, config schemas and,
 * for optimizers, the slots and formulas of each variant. All of it is derived from the members.
 */
import { z } from "zod";
import { aggregators } from "./aggregators/mod.ts";
import { clipNorms } from "./clip_norms/mod.ts";
import { constraints } from "./constraints/mod.ts";
import { type Config, type Family, type Member, serialize } from "./mechanism/family.ts";
import { definitionOf } from "./optimizers/custom/definition_of_member.ts";
import type { Definition } from "./optimizers/member/definition_schema.ts";
import { initializers } from "./initializers/mod.ts";
import type { OptimizerMember } from "./optimizers/member/optimizer_member.ts";
import { type OptimizerFamily, optimizers } from "./optimizers/mod.ts";
import { parseOptimizer } from "./optimizers/optimizer.ts";
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

/** One rule of an optimizer: a config that selects it, and its formulas in the form that can be registered. */
export interface CatalogVariant {
  readonly config: Config;
  readonly definition: Definition;
}

export interface CatalogOptimizer extends CatalogMember {
  /** What the config's `module` must be; absent: none is needed. */
  readonly module?: string;
  readonly description: string;
  /** Config keys that can be overwritten between steps. */
  readonly attributes: readonly string[];
  /** True if it was registered, false if it is built in. */
  readonly custom: boolean;
  /** Config key → its name in formulas, where the two differ. */
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
  readonly clip_norms: readonly CatalogMember[];
  readonly transformers: readonly CatalogMember[];
}

/** All members of all families, in the order of their lists; `family` holds a service's optimizers. */
export function catalog(family: OptimizerFamily = optimizers): Catalog {
  return {
    optimizers: family.members.map((member) => describeOptimizer(member, family)),
    schedules: describe(schedules),
    constraints: describe(constraints),
    initializers: describe(initializers),
    aggregators: describe(aggregators),
    staleness_weightings: describe(stalenessWeightings),
    clip_norms: describe(clipNorms),
    transformers: describe(transformers),
  };
}

/** Cached descriptions: one takes a few milliseconds to make, and a service may have a thousand optimizers. */
const described = new WeakMap<Member, CatalogMember>();

function once<M extends Member, D extends CatalogMember>(member: M, make: () => D): D {
  const found = described.get(member) as D | undefined;
  if (found) return found;
  const made = make();
  described.set(member, made);
  return made;
}

/** Optimizers described between two pauses: about 20 ms. */
const AT_ONCE = 8;

/**
 * Like {@link catalog}, without blocking other requests: `pause` is awaited after every few optimizers that were not
 * cached.
 */
export async function catalogInTurns(family: OptimizerFamily, pause: () => Promise<void>): Promise<Catalog> {
  const fresh = family.members.filter((member) => !described.has(member));
  for (const [n, member] of fresh.entries()) {
    if (n % AT_ONCE === AT_ONCE - 1) await pause();
    describeOptimizer(member, family);
  }
  return catalog(family);
}

function describe(family: Family<Member>): CatalogMember[] {
  return family.members.map((member) => once(member, () => describeMember(member)));
}

function describeMember({ class_name, aliases = [], summary, config }: Member): CatalogMember {
  return { class_name, aliases, summary, config: z.toJSONSchema(config, { io: "input" }) };
}

function describeOptimizer(member: OptimizerMember, family: OptimizerFamily): CatalogOptimizer {
  return once(member, () => {
    const { optimizer: { constructed } } = parseOptimizer(serialize({ member, config: {} }), "", family);
    return {
      ...describeMember(member),
      ...member.module !== undefined && { module: member.module },
      description: member.description,
      custom: member.definition !== undefined,
      attributes: Object.keys(constructed).filter((key) => !member.fixed.includes(key)),
      symbols: member.symbols ?? {},
      variants: member.variants.map((config) => ({ config, definition: definitionOf(member, config) })),
    };
  });
}
