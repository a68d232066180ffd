/**
 * Attributes of an optimizer in use: `opt.learning_rate = 0.05`, as a function from one optimizer to the next.
 *
 * Not the constructor (optimizer.ts has that). Keras leaves attributes unchecked; here the ranges of the config hold
 * for them too, besides "only one norm". Invariant: `constructed` never changes.
 */
import { z } from "zod";
import { type Config, type Member, parseConfig } from "../mechanism/family.ts";
import { resolveRate } from "./base.ts";
import { CLIPS, type OptimizerConfig, type OptimizerMember } from "./optimizer_member.ts";
import type { Optimizer } from "./optimizer.ts";

/**
 * The optimizer with some attributes overwritten, in the order of `patch`, as `opt.x = value` does in Keras.
 *
 * `lr` is learning_rate; null takes a clip away; epsilon is taken as it is, 0 too. `hypersCreated`: whether the
 * optimizer was in use yet. What has no effect in Keras has none here, and a warning says so. Switching amsgrad or
 * centered on makes the rule want another slot. Throws `invalid_config` for unknown attributes and for values of
 * the wrong type or range, with paths that start with `path`.
 */
export function overwrite(
  optimizer: Optimizer,
  patch: Config,
  { hypersCreated, path = "" }: { hypersCreated: boolean; path?: string },
): { optimizer: Optimizer; warnings: readonly string[] } {
  const { member, constructed } = optimizer;
  const current: Record<string, unknown> = { ...optimizer.current };
  const bare = new Set(optimizer.bare);
  const warnings: string[] = [];
  const read = parseConfig(attributesOf(optimizer), patch, path);

  for (const name of Object.keys(patch)) {
    const key = name === "lr" ? "learning_rate" : name;
    const value = member.schedulable.includes(key) ? resolveRate(read[name], { key, path }) : read[name];
    if (value === current[key]) continue;
    if (member.fixed.includes(key)) {
      warnings.push(`${name} has no effect after construction: it stays ${JSON.stringify(current[key])}`);
      continue;
    }
    const idle = member.idle?.(constructed, key);
    if (idle !== undefined) warnings.push(`${name} has no effect: ${idle}`);
    // Keras makes float32 variables of numbers once, on first use; what becomes a number later stays a plain one.
    if (hypersCreated && typeof current[key] === "object" && typeof value === "number") bare.add(key);
    current[key] = value;
  }
  return { optimizer: { member, constructed, current: current as OptimizerConfig, bare }, warnings };
}

const attributes = new WeakMap<OptimizerMember, Member>();

/** The member's config as a patch: nothing is required, nothing has a default, only clips may be null. */
function attributesOf({ member, constructed }: Optimizer): Member {
  let known = attributes.get(member);
  if (!known) {
    const shape: Record<string, z.ZodType> = {};
    for (const key of Object.keys(constructed)) {
      let type = member.config.shape[key] as z.ZodType;
      if (type instanceof z.ZodDefault) type = type.unwrap() as z.ZodType;
      if (type instanceof z.ZodNullable && !CLIPS.has(key)) type = type.unwrap() as z.ZodType;
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
