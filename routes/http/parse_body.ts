/** Checks the value of a body with its schema. A long list is checked in slices, and others run in between. */
import type { z } from "@hono/zod-openapi";
import { StepwellError } from "../../src/errors.ts";
import { withoutNulls } from "../../src/nulls.ts";
import { nextTurn, Slices } from "../../src/slices.ts";
import { isObject } from "../../src/wire/tensor_source.ts";
import { invalidRequest } from "./invalid_request.ts";

/** Elements that are checked at a time, and how long one takes, in nanoseconds. */
const SLICE_LENGTH = 1000, ELEMENT_UNITS = 3000;

/** A member of a body that may be a long list. */
export interface LongList {
  readonly name: string;
  readonly element: z.ZodType;
  readonly lengthMax: number;
}

/** Throws invalid_request. */
export function parseBody<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(withoutNulls(schema, value));
  if (parsed.success) return parsed.data;
  throw invalidRequest("body", parsed.error);
}

/** Like {@link parseBody}. The first slice with a mistake is the last one that is looked at. */
export async function parseWithList<S extends z.ZodType>(
  schema: S,
  value: unknown,
  { name, element, lengthMax }: LongList,
): Promise<z.output<S>> {
  const list: unknown = isObject(value) ? value[name] : undefined;
  if (!Array.isArray(list) || list.length <= SLICE_LENGTH) return parseBody(schema, value);
  if (list.length > lengthMax) throw tooLong(name, list.length, lengthMax);
  const head = { ...value as object, [name]: list.slice(0, SLICE_LENGTH) };
  const body = parseBody(schema, head) as Record<string, unknown[]>;
  const elements = body[name]!, all = element.array(), slices = new Slices();
  for (let at = SLICE_LENGTH; at < list.length; at += SLICE_LENGTH) {
    if (slices.isOver(SLICE_LENGTH * ELEMENT_UNITS)) await nextTurn();
    const slice = all.safeParse(withoutNulls(all, list.slice(at, at + SLICE_LENGTH)));
    if (!slice.success) throw invalidRequest("body", moved(slice.error, name, at));
    for (const parsed of slice.data) elements.push(parsed);
  }
  return body as z.output<S>;
}

/**
 * Like {@link parseBody}, for a body with an object that may have many members. Of them, what is returned has only some.
 * The first slice with a mistake is the last one that is looked at.
 */
export async function parseWithMap<S extends z.ZodType>(
  schema: S,
  value: unknown,
  name: string,
): Promise<z.output<S>> {
  const map: unknown = isObject(value) ? value[name] : undefined;
  const entries = isObject(map) ? Object.entries(map) : [];
  if (entries.length <= SLICE_LENGTH) return parseBody(schema, value);
  const slices = new Slices();
  let at = 0;
  for (;;) {
    const members = Object.fromEntries(entries.slice(at, at += SLICE_LENGTH));
    const parsed = parseBody(schema, { ...value as object, [name]: members });
    if (at >= entries.length) return parsed;
    if (slices.isOver(SLICE_LENGTH * ELEMENT_UNITS)) await nextTurn();
  }
}

/** The errors of a slice, with the paths that they have in the whole list. */
function moved({ issues }: z.ZodError, name: string, by: number): Pick<z.core.$ZodError, "issues"> {
  return {
    issues: issues.map((issue) => {
      const [index, ...rest] = issue.path;
      return { ...issue, path: [name, by + Number(index), ...rest] };
    }),
  };
}

function tooLong(name: string, length: number, lengthMax: number): StepwellError {
  const problem = `has ${length} elements, must have at most ${lengthMax}`;
  return new StepwellError("invalid_request", `Cannot take this request: ${name} ${problem}`, [
    { path: name, message: `Must have at most ${lengthMax} elements` },
  ]);
}
