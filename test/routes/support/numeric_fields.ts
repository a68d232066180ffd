/**
 * Every place of a number in the JSON bodies and queries of requests, as the OpenAPI document lists them, so that a new
 * field is among them by itself.
 */
import { openapi31 } from "../../../routes/contract/openapi.ts";
import type { App } from "../../../routes/http/context.ts";

// deno-lint-ignore no-explicit-any -- a document of JSON Schemas
type Schema = any;

/** A key, "*" for any key of a record, or "[]" for an element of a list. */
export type Keys = readonly string[];

export interface NumericField {
  readonly operationId: string;
  readonly method: string;
  /** With {run}. */
  readonly path: string;
  /** In the body; a query's parameter has one key. */
  readonly keys: Keys;
  readonly in: "body" | "query";
  readonly kind: "number" | "integer" | "element";
  /** Whether the schema takes nothing but numbers, and null. */
  readonly isPlain: boolean;
}

/** A record whose values the schema leaves to a family or to a model. */
export interface FreeForm {
  readonly operationId: string;
  readonly keys: Keys;
}

interface Leaf {
  readonly keys: Keys;
  readonly type: "number" | "integer" | "any";
  readonly isPlain: boolean;
}

export function numericFields(app: App): { fields: NumericField[]; freeForms: FreeForm[] } {
  const document = openapi31(app) as Schema;
  const follow = (schema: Schema): Schema =>
    schema.$ref
      ? schema.$ref.slice(2).split("/").reduce((at: Schema, key: string) => at[key], document)
      : schema;

  function* leaves(
    given: Schema,
    keys: Keys,
    inUnion = false,
    seen: readonly string[] = [],
  ): Generator<Leaf> {
    if (given.$ref) {
      if (seen.includes(given.$ref)) return;
      seen = [...seen, given.$ref];
    }
    const schema = follow(given);
    const options: Schema[] = [...schema.anyOf ?? [], ...schema.oneOf ?? []];
    const isUnion = inUnion || options.filter((each) => follow(each).type !== "null").length > 1;
    for (const each of [...schema.allOf ?? [], ...options]) yield* leaves(each, keys, isUnion, seen);
    const types: string[] = [schema.type ?? []].flat();
    const type = types.find((each) => each === "number" || each === "integer") as Leaf["type"] | undefined;
    const isPlain = !isUnion && types.every((each) => each === type || each === "null");
    if (type) yield { keys, type, isPlain };
    for (const [key, each] of Object.entries(schema.properties ?? {})) {
      yield* leaves(each, [...keys, key], false, seen);
    }
    if (typeof schema.additionalProperties === "object") {
      yield* leaves(schema.additionalProperties, [...keys, "*"], false, seen);
    }
    if (schema.items) yield* leaves(schema.items, [...keys, "[]"], false, seen);
    const words = new Set(["description", "example"]);
    if (Object.keys(schema).every((key) => words.has(key))) yield { keys, type: "any", isPlain: false };
  }

  const fields: NumericField[] = [], freeForms: FreeForm[] = [];
  for (const [path, methods] of Object.entries<Schema>(document.paths)) {
    for (const [method, operation] of Object.entries<Schema>(methods)) {
      const { operationId } = operation;
      const place = { operationId, method: method.toUpperCase(), path };
      for (const parameter of (operation.parameters ?? []).map(follow)) {
        for (const { type, isPlain } of leaves(parameter.schema, [])) {
          if (parameter.in !== "query" || type === "any") continue;
          fields.push({ ...place, in: "query", keys: [parameter.name], kind: type, isPlain });
        }
      }
      const body = operation.requestBody?.content?.["application/json"]?.schema;
      for (const { keys, type, isPlain } of body ? leaves(body, []) : []) {
        if (type !== "any") fields.push({ ...place, in: "body", keys, kind: type, isPlain });
        else if (keys.at(-1) === "[]") fields.push({ ...place, in: "body", keys, kind: "element", isPlain });
        else freeForms.push({ operationId, keys });
      }
    }
  }
  return { fields, freeForms };
}

/**
 * The body with `text` at `keys`: "*" is the first key, "[]" the first element, or on the way the last element that
 * holds others. Undefined if `body` has no such place; with `isThere`, if it has nothing there.
 */
export function withNumber(
  body: unknown,
  keys: Keys,
  text: string,
  { isThere = false } = {},
): string | undefined {
  const mark = "\u0000number";
  const copy = structuredClone(body);
  let at: Schema = copy;
  for (const [n, key] of keys.entries()) {
    const isLast = n === keys.length - 1;
    if (typeof at !== "object" || at === null || Array.isArray(at) !== (key === "[]")) return undefined;
    const holding = key === "[]" ? at.findLastIndex((each: unknown) => typeof each === "object") : -1;
    const name = key === "*" ? Object.keys(at)[0] : key === "[]" ? isLast ? 0 : Math.max(0, holding) : key;
    if (name === undefined || ((!isLast || isThere) && !(name in at))) return undefined;
    if (isLast) at[name] = mark;
    else at = at[name];
  }
  return JSON.stringify(copy).replace(JSON.stringify(mark), () => text);
}
