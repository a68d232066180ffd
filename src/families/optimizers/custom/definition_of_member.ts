/**
 * Turns a rule of a built-in optimizer into a definition in the form that can be registered. Registered under another
 * name, it computes the same, bit for bit.
 */
import { z } from "zod";
import type { OptimizerMember, Rule } from "../optimizer_member.ts";
import { type Config, parseConfig } from "../../mechanism/family.ts";
import { FLOAT32_MAX } from "../../../float32.ts";
import { isName } from "../../mechanism/user_formula.ts";
import { CLIPS } from "../optimizer_member.ts";
import type { Definition } from "../definition_schema.ts";

/** The definition of the rule that `given` selects. Numbers that no line reads are left out. */
export function definitionOf(member: OptimizerMember, given: Config): Definition {
  if (member.definition) return member.definition;
  const { config } = member.construct(parseConfig(member, given), given, "");
  const rule = member.rule(config, config);
  const { all = [], rows = [], after = [], scatter = false } = rule.sparse ?? {};
  const first = <V>(values: Readonly<Record<string, V>>) =>
    Object.fromEntries(Object.entries(values).map(([name, initial]) => [name, { initial }]));
  const used = namesIn(rule);
  const hyperparameters = Object.entries(config).flatMap(([key, value]) => {
    const name = member.symbols?.[key] ?? key;
    if (typeof value !== "number" || CLIPS.has(key) || !isName(name) || !used.has(name)) return [];
    const range = rangeOf(member, key);
    return [[name, { default: value, ...range, schedule: key === "learning_rate" }] as const];
  });
  return {
    class_name: member.class_name,
    summary: member.summary,
    description: member.description,
    hyperparameters: Object.fromEntries(hyperparameters),
    slots: first(rule.slots),
    slot_order: rule.slotOrder ?? "slot",
    state: first(rule.state ?? {}),
    scalars: [...rule.scalars ?? []],
    dense: [...rule.dense],
    sparse: rule.sparse
      ? {
        all: [...all],
        rows: [...rows],
        scalar_rows: [...rule.sparseScalarRows ?? []],
        after: [...after],
        scatter,
      }
      : null,
  };
}

function namesIn({ scalars = [], dense, sparse, sparseScalarRows = [] }: Rule): ReadonlySet<string> {
  const lines = [
    ...scalars,
    ...dense,
    ...sparse?.all ?? [],
    ...sparse?.rows ?? [],
    ...sparse?.after ?? [],
    ...sparseScalarRows,
  ];
  return new Set(lines.flatMap((line) => line.match(/[A-Za-z_]\w*/g) ?? []));
}

/** The range of a config key in its schema; the range of float32 counts as none. */
function rangeOf(
  { config }: OptimizerMember,
  key: string,
): { minimum: number | null; maximum: number | null } {
  const { minimum, maximum } = z.toJSONSchema(config.shape[key] as z.ZodType, { io: "input" });
  return {
    minimum: minimum === undefined || minimum === -FLOAT32_MAX ? null : minimum,
    maximum: maximum === undefined || maximum === FLOAT32_MAX ? null : maximum,
  };
}
