/**
 * Turns a rule of a built-in optimizer into a definition in the form that can be registered. Registered under another
 * name, it computes the same, bit for bit.
 */
import { z } from "zod";
import { numbersOf, RATE } from "../member/numbers.ts";
import type { OptimizerMember, Rule } from "../member/optimizer_member.ts";
import { type Config, parseConfig } from "../../mechanism/family.ts";
import { FLOAT32_MAX } from "../../../float32.ts";
import { isName } from "../../mechanism/user_formula.ts";
import type { Definition } from "../member/definition_schema.ts";

/** The definition of the rule that `given` selects. Numbers that no line reads are left out. */
export function definitionOf(member: OptimizerMember, given: Config): Definition {
  if (member.definition) return member.definition;
  const { config } = member.construct(parseConfig(member, given), given, "");
  const rule = member.rule(config, config);
  const { all = [], rows = [], after = [], scatter = false } = rule.sparse ?? {};
  const first = <V>(values: Readonly<Record<string, V>>) =>
    Object.fromEntries(Object.entries(values).map(([name, initial]) => [name, { initial }]));
  const used = namesIn(rule);
  const hyperparameters = numbersOf(member, config).filter(({ name }) => isName(name) && used.has(name))
    .map(({ key, name, value }) =>
      [name, { default: value, ...rangeOf(member, key), schedule: name === RATE }] as const
    );
  return {
    class_name: member.class_name,
    summary: member.summary,
    description: member.description,
    hyperparameters: Object.fromEntries(hyperparameters),
    slots: first(rule.slots),
    slot_order: rule.slotOrder ?? "slot",
    state: first(rule.state ?? {}),
    doubles: [...rule.doubles ?? []],
    scalars: [...rule.scalars ?? []],
    dense: [...rule.dense],
    sparse_as_dense: rule.sparseAsDense ?? false,
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

function namesIn(
  { doubles = [], scalars = [], dense, sparse, sparseScalarRows = [] }: Rule,
): ReadonlySet<string> {
  const lines = [
    ...doubles,
    ...scalars,
    ...dense,
    ...sparse?.all ?? [],
    ...sparse?.rows ?? [],
    ...sparse?.after ?? [],
    ...sparseScalarRows,
  ];
  return new Set(lines.flatMap((line) => line.match(/[A-Za-z_]\w*/g) ?? []));
}

/** The range of a config key, or of the items of its list, in its schema; the range of float32 counts as none. */
function rangeOf(
  { config }: OptimizerMember,
  key: string,
): { minimum: number | null; maximum: number | null } {
  const schema = z.toJSONSchema(config.shape[key] as z.ZodType, { io: "input" });
  if (schema.type === "boolean") return { minimum: 0, maximum: 1 };
  const { minimum, maximum } = schema.items as typeof schema | undefined ?? schema;
  return {
    minimum: minimum === undefined || minimum === -FLOAT32_MAX ? null : minimum,
    maximum: maximum === undefined || maximum === FLOAT32_MAX ? null : maximum,
  };
}
