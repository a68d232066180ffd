/**
 * Turns a definition into a member of the optimizer family, like a built-in one.
 *
 * Checks are in check_definition.ts. Invariant: the rule is one object for all configs, because a definition has no
 * switches.
 */
import { z } from "zod";
import type { Issue } from "../../../errors.ts";
import { type Config, REFERENCE } from "../../mechanism/family.ts";
import { float32 } from "../../../float32.ts";
import { maybeNumber } from "../../mechanism/fields.ts";
import { refusalOfAll, tell } from "../../mechanism/issues.ts";
import { bothNorms, constructBase } from "../member/base.ts";
import { RATE, rateOf } from "../member/numbers.ts";
import type { Constructed, OptimizerConfig, OptimizerMember, Rule } from "../member/optimizer_member.ts";
import { DECAY, overrides } from "../legacy/legacy_constructor.ts";
import { checkDefinition } from "./check_definition.ts";
import { withoutNulls } from "../../../nulls.ts";
import { type Definition, DefinitionSchema, keysAt } from "../member/definition_schema.ts";

/** The most issues in one error: a body full of unknown keys has thousands. */
const ISSUES_MAX = 50;

/** A registered optimizer. */
export type CustomMember = OptimizerMember & { readonly definition: Definition };

/**
 * Reads a definition with every default filled in.
 *
 * Throws `invalid_definition` with one issue per problem. Lines and columns count from 1; `path` is the prefix of the
 * issues' paths.
 */
export function readDefinition(json: unknown, path = ""): Definition {
  const parsed = DefinitionSchema.safeParse(withoutNulls(DefinitionSchema, json));
  if (!parsed.success) {
    const allowed = Object.keys(DefinitionSchema.shape);
    refuse(
      parsed.error.issues.flatMap((issue) =>
        tell(issue, json, { holder: "a definition", allowed, inside: keysAt })
      )
        .map(({ keys, message }) => ({ path: keys.map(String).join("."), message })),
      path,
    );
  }
  const issues = checkDefinition(parsed.data);
  if (issues.length > 0) refuse(issues, path);
  return parsed.data;
}

function refuse(issues: readonly Issue[], path: string): never {
  throw refusalOfAll("invalid_definition", "register the optimizer", issues, { path, issuesMax: ISSUES_MAX });
}

type Hyperparameter = Definition["hyperparameters"][string];

/** A number in its range, or a schedule where one is allowed. */
function field(name: string, { default: value, minimum, maximum, schedule }: Hyperparameter) {
  const number = rangeOf({ minimum, maximum });
  const type = schedule
    ? z.union([number, REFERENCE], {
      error: `${wanted({ minimum, maximum })} or a schedule {class_name, config}`,
    })
    : number;
  return type.default(value).describe(`The hyperparameter ${name}.`);
}

const rangeOf = ({ minimum, maximum }: Pick<Hyperparameter, "minimum" | "maximum">) =>
  float32({ ...minimum !== null && { minimum }, ...maximum !== null && { maximum } });

function wanted({ minimum, maximum }: Pick<Hyperparameter, "minimum" | "maximum">): string {
  const bounds = [minimum !== null && `>= ${minimum}`, maximum !== null && `<= ${maximum}`].filter(Boolean);
  return `must be a number ${bounds.join(" and ")}`.trimEnd();
}

/** The schema of the optimizer's configs. */
function configOf({ class_name, hyperparameters }: Definition): z.ZodObject {
  const rate = hyperparameters["learning_rate"];
  return z.strictObject({
    name: z.string().nullable().default(class_name)
      .describe("A name for the optimizer; empty or null becomes the class name in snake_case."),
    clipnorm: maybeNumber("Clips each variable's gradient to this L2 norm.", { minimum: 0 }),
    clipvalue: maybeNumber("Clips each element of the gradients to ± this value.", { minimum: 0 }),
    global_clipnorm: maybeNumber("Clips all gradients together to this L2 norm; not with clipnorm.", {
      minimum: 0,
    }),
    ...rate && { learning_rate: field("learning_rate", rate), decay: DECAY },
    ...Object.fromEntries(
      Object.entries(hyperparameters).filter(([name]) => name !== "learning_rate")
        .map(([name, hyperparameter]) => [name, field(name, hyperparameter)]),
    ),
    ...rate &&
      { lr: rangeOf(rate).optional().describe("The old name of learning_rate, which it overrides.") },
  });
}

/** The member for a definition that {@link readDefinition} returned. */
export function memberOf(definition: Definition): CustomMember {
  const { class_name, summary, description, hyperparameters } = definition;
  const rate = hyperparameters["learning_rate"];
  const schedulable = Object.keys(hyperparameters).filter((name) => hyperparameters[name]?.schedule);
  const rule = ruleOf(definition);
  let config: z.ZodObject | undefined;
  return {
    class_name,
    summary,
    description,
    definition,
    // Built on first use: a starting service may have a thousand optimizers and use only a few.
    get config() {
      return config ??= configOf(definition);
    },
    hyper: Object.keys(hyperparameters),
    fixed: ["name", ...rate ? ["decay"] : []],
    schedulable,
    timeDecay: rate !== undefined,
    rateKey: RATE,
    variants: [{}],
    check: bothNorms,
    construct: (config, _given, path) => withLr(constructBase({ class_name, schedulable }, config, path)),
    rule: () => rule,
  };
}

/** Treats an old `lr` as Keras does. */
function withLr({ config, warnings }: Constructed): Constructed {
  const { lr, ...rest } = config as OptimizerConfig & Config;
  if (lr === undefined) return { config, warnings };
  return {
    config: { ...rest, learning_rate: lr } as OptimizerConfig,
    warnings: [...warnings, overrides(lr, rateOf({ rateKey: RATE }, rest))],
  };
}

function ruleOf(definition: Definition): Rule {
  const { slots, slot_order, state, doubles, scalars, dense, sparse, sparse_as_dense } = definition;
  const first = <V>(values: Readonly<Record<string, { readonly initial: V }>>) =>
    Object.fromEntries(Object.entries(values).map(([name, { initial }]) => [name, initial]));
  const { scalar_rows = [], ...rows } = sparse ?? {};
  return {
    slots: first(slots),
    slotOrder: slot_order,
    state: first(state),
    doubles,
    scalars,
    dense,
    ...sparse_as_dense && { sparseAsDense: true },
    ...sparse && { sparse: rows },
    ...scalar_rows.length > 0 && { sparseScalarRows: scalar_rows },
  };
}
