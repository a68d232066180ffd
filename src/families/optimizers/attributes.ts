/**
 * Overwrites attributes of an optimizer in use, as in `opt.learning_rate = 0.05`; the result is a new optimizer.
 *
 * Not the constructor (optimizer.ts). Keras does not check attributes; here the ranges of the config apply to them
 * too, except for "only one norm". Invariant: `constructed` never changes.
 */
import { z } from "zod";
import { type Config, type Member, parseConfig } from "../mechanism/family.ts";
import { resolveRate } from "./member/base.ts";
import { CLIPS, type OptimizerConfig, type OptimizerMember } from "./member/optimizer_member.ts";
import type { Optimizer } from "./optimizer.ts";

/**
 * The optimizer with some attributes overwritten, in the order of `patch`, as `opt.x = value` does in Keras.
 *
 * `lr` means learning_rate; null removes a clip; epsilon is used as given, even 0. `hypersCreated`: whether the
 * optimizer was already used. An attribute that has no effect in Keras has none here, and a warning says so. Turning
 * on amsgrad or centered adds a slot to the rule. Throws `invalid_config` for unknown attributes and for values of
 * the wrong type or range; paths start with `path` and `field`.
 */
export function overwrite(
  optimizer: Optimizer,
  patch: Config,
  { hypersCreated, path = "", field = "config" }: { hypersCreated: boolean; path?: string; field?: string },
): { optimizer: Optimizer; warnings: readonly string[] } {
  const { member, constructed } = optimizer;
  const current: Record<string, unknown> = { ...optimizer.current };
  const bare = new Set(optimizer.bare);
  const warnings: string[] = [];
  const read = parseConfig(attributesOf(optimizer), patch, path, field);

  for (const name of Object.keys(patch)) {
    const key = name === "lr" ? member.rateKey : name;
    const value = member.schedulable.includes(key)
      ? resolveRate(read[name], { key, path, field })
      : read[name];
    if (value === current[key]) continue;
    if (member.fixed.includes(key)) {
      warnings.push(`${name} has no effect after construction: it stays ${JSON.stringify(current[key])}`);
      continue;
    }
    const idle = member.idle?.(constructed, key);
    if (idle !== undefined) warnings.push(`${name} has no effect: ${idle}`);
    // Keras turns numbers into float32 variables once, on first use; a later number stays a plain one.
    if (hypersCreated && typeof current[key] === "object" && typeof value === "number") bare.add(key);
    current[key] = value;
  }
  return { optimizer: { ...optimizer, current: current as OptimizerConfig, bare }, warnings };
}

const attributes = new WeakMap<OptimizerMember, Member>();

/**
 * The member with its schema as a patch: no key is required or has a default, and only clips may be null, unless the
 * framework writes null.
 */
function attributesOf({ member, constructed }: Optimizer): Member {
  let known = attributes.get(member);
  if (!known) {
    const shape: Record<string, z.ZodType> = {};
    for (const key of Object.keys(constructed)) {
      let type = member.config.shape[key] as z.ZodType;
      if (type instanceof z.ZodDefault) type = type.unwrap() as z.ZodType;
      if (type instanceof z.ZodNullable && !CLIPS.has(key) && !member.written) {
        type = type.unwrap() as z.ZodType;
      }
      shape[key] = type.optional();
    }
    if (shape["learning_rate"]) shape["lr"] = shape["learning_rate"];
    known = {
      class_name: member.class_name,
      summary: member.summary,
      config: z.strictObject(shape),
      check: ({ lr, learning_rate = lr }) => member.check?.({ learning_rate }) ?? [],
    };
    attributes.set(member, known);
  }
  return known;
}
