/**
 * Configs as JSON for Keras, where 1 and 1.0 are numbers of different types: whole numbers of float fields are written
 * `1.0`. Keras' schedules break on the others.
 *
 * The results are for `JSON.stringify` only. Which fields are floats follows from the members' schemas.
 */
import { z } from "zod";
import { exactNumber } from "../wire/exact_json.ts";
import type { Member, PartJson } from "./mechanism/family.ts";

interface Members {
  memberOf(part: PartJson): Pick<Member, "config"> | undefined;
}

/**
 * A part of a family as JSON for Keras. `nested` is the family of parts that its config may hold. A part whose member
 * is gone, as in an answer that was kept, stays as it is.
 */
export function withFloats(part: PartJson, family: Members, nested?: Members): PartJson {
  const member = family.memberOf(part);
  if (!member) return part;
  const { shape } = member.config;
  const config = Object.entries(part.config).map(([key, value]) => {
    const field = Object.hasOwn(shape, key) ? shape[key] as z.ZodType : undefined;
    return [key, isPart(value) && nested ? withFloats(value, nested) : withFloat(value, field)];
  });
  return { ...part, config: Object.fromEntries(config) };
}

function isPart(value: unknown): value is PartJson {
  return typeof value === "object" && value !== null && "class_name" in value && "config" in value;
}

function withFloat(value: unknown, field: z.ZodType | undefined): unknown {
  if (field === undefined) return value;
  if (Array.isArray(value)) {
    const items = inner(field);
    if (!(items instanceof z.ZodArray)) return value;
    const element = items.element as z.ZodType;
    // Looked up once: a list may have a hundred thousand numbers.
    if (isFloat(element)) return value.map((item) => typeof item === "number" ? exactNumber(item) : item);
    return value.map((item) => withFloat(item, element));
  }
  return typeof value === "number" && isFloat(field) ? exactNumber(value) : value;
}

function isFloat(field: z.ZodType): boolean {
  const bare = inner(field);
  if (bare instanceof z.ZodUnion) return bare.options.some((option) => isFloat(option as z.ZodType));
  return bare instanceof z.ZodNumber && !bare.isInt;
}

function inner(schema: z.ZodType): z.ZodType {
  const isWrapped = schema instanceof z.ZodOptional || schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault;
  return isWrapped ? inner(schema.unwrap() as z.ZodType) : schema;
}
