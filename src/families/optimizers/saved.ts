/**
 * Saves an optimizer completely as JSON and loads it: what its constructor decided, its attributes, what is bare.
 *
 * Not `get_config`, whose round trip through a constructor loses state (Nadam's decay, an epsilon set to 0, that
 * there never was momentum). Invariant: loading a saved optimizer gives an equal one.
 */
import { z } from "zod";
import { StepwellError } from "../../errors.ts";
import { type Config, parseConfig, type Spelling } from "../mechanism/family.ts";
import type { OptimizerConfig, OptimizerMember } from "./member/optimizer_member.ts";
import { type OptimizerFamily, optimizers } from "./mod.ts";
import type { Optimizer } from "./optimizer.ts";

const SAVED = z.strictObject({
  class_name: z.string(),
  constructed: z.record(z.string(), z.unknown()),
  current: z.record(z.string(), z.unknown()),
  bare: z.array(z.string()),
  /** Whose rule it is; absent where no module is needed, as everywhere before there were several. */
  module: z.string().optional(),
  /** How it was written, if that is more than its class name. */
  spelling: z.strictObject({
    class_name: z.string(),
    module: z.string().optional(),
    registered_name: z.string().nullable().optional(),
  }).optional(),
});

export type SavedOptimizer = z.infer<typeof SAVED>;

export function saveOptimizer({ member, constructed, current, bare, spelling }: Optimizer): SavedOptimizer {
  const { class_name, module } = member;
  const isPlain = spelling.class_name === class_name && spelling.module === undefined;
  return {
    class_name,
    constructed,
    current,
    bare: [...bare],
    ...module !== undefined && { module },
    ...!isPlain && { spelling },
  };
}

/** Loads a saved optimizer. Throws `unknown_class` or `invalid_config` for anything else. */
export function loadOptimizer(
  json: unknown,
  { family = optimizers, path = "" }: { family?: OptimizerFamily; path?: string } = {},
): Optimizer {
  const saved = SAVED.safeParse(json);
  if (!saved.success) {
    throw new StepwellError(
      "invalid_config",
      "Cannot read this saved optimizer: it was not saved here",
    );
  }
  const { class_name, module, constructed, current, bare, spelling } = saved.data;
  const member = family.find(class_name, { path, module });
  return {
    member,
    constructed: load(member, constructed, path),
    current: load(member, current, path),
    bare: new Set(bare),
    spelling: (spelling as Spelling | undefined) ?? { class_name: member.class_name },
  };
}

/** Checks a config field by field, without a constructor's changes and checks across fields. */
function load(member: OptimizerMember, config: Config, path: string): OptimizerConfig {
  const { class_name, summary, config: schema } = member;
  const checked = parseConfig({ class_name, summary, config: schema }, config, path);
  const { config: built } = member.construct(checked, {}, path);
  const kept = Object.keys(built).filter((key) =>
    !member.schedulable.includes(key) && Object.hasOwn(config, key)
  );
  return { ...built, ...Object.fromEntries(kept.map((key) => [key, config[key]])) };
}
