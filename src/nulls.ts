/**
 * Null for an optional field means that the field is left out: many clients write every field of a record. Here it is
 * decided for all requests and definitions, and for the configs of families that Keras does not have. The configs of
 * Keras' families follow Keras, which has errors of its own for None (families/mechanism/family.ts).
 *
 * Null keeps a meaning of its own where a schema says so (`nullable`), and inside values that no schema describes.
 */
import { z } from "zod";

/** Where nulls may stand in a value; undefined: nowhere. */
interface Places {
  /** Optional fields for which null has no meaning. */
  readonly dropped: ReadonlySet<string>;
  readonly below: ReadonlyMap<string, Places>;
  /** In every element of an array, or value of a record. */
  readonly each?: Places;
}

const known = new WeakMap<z.ZodType, Places | null>();

function placesOf(schema: z.ZodType): Places | undefined {
  const found = known.get(schema);
  if (found !== undefined) return found ?? undefined;
  const places = findPlaces(schema);
  known.set(schema, places ?? null);
  return places;
}

function findPlaces(schema: z.ZodType): Places | undefined {
  const bare = inner(schema);
  if (bare instanceof z.ZodArray || bare instanceof z.ZodRecord) {
    const each = placesOf((bare instanceof z.ZodArray ? bare.element : bare.valueType) as z.ZodType);
    return each && { dropped: new Set(), below: new Map(), each };
  }
  if (!(bare instanceof z.ZodObject)) return undefined;
  const fields = Object.entries(bare.shape) as [string, z.ZodType][];
  const dropped = fields.filter(([, field]) => isOptional(field) && !takesNull(field)).map(([key]) => key);
  const below = fields.flatMap(([key, field]) => {
    const places = placesOf(field);
    return places ? [[key, places] as const] : [];
  });
  if (dropped.length === 0 && below.length === 0) return undefined;
  return { dropped: new Set(dropped), below: new Map(below) };
}

/** The schema without what makes it optional or nullable. */
function inner(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodPipe) return inner(schema.in as z.ZodType);
  const isWrapped = schema instanceof z.ZodOptional || schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault;
  return isWrapped ? inner(schema.unwrap() as z.ZodType) : schema;
}

const isOptional = (field: z.ZodType) => field instanceof z.ZodOptional || field instanceof z.ZodDefault;

/** Whether null has a meaning of its own. Anything goes for `unknown`, which means nothing. */
function takesNull(field: z.ZodType): boolean {
  if (field instanceof z.ZodOptional || field instanceof z.ZodDefault) {
    return takesNull(field.unwrap() as z.ZodType);
  }
  return !(field instanceof z.ZodUnknown) && field.safeParse(null).success;
}

/** The value without nulls that mean that a field is left out; the value itself if it has none. */
export function withoutNulls(schema: z.ZodType, value: unknown): unknown {
  const places = placesOf(schema);
  return places ? dropped(places, value) : value;
}

function dropped(places: Places, value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const { each } = places;
    if (!each) return value;
    const items = value.map((item) => dropped(each, item));
    return items.some((item, at) => item !== value[at]) ? items : value;
  }
  let changed: Record<string, unknown> | undefined;
  const given = value as Record<string, unknown>;
  for (const key of places.dropped) {
    if (!Object.hasOwn(given, key) || given[key] !== null) continue;
    changed ??= { ...given };
    delete changed[key];
  }
  const { each } = places;
  const below = each ? Object.keys(given).map((key) => [key, each] as const) : places.below;
  for (const [key, inside] of below) {
    if (!Object.hasOwn(given, key)) continue;
    const kept = dropped(inside, given[key]);
    if (kept !== given[key]) (changed ??= { ...given })[key] = kept;
  }
  return changed ?? value;
}
