/**
 * The fields of a contribution that a safetensors body has in `__metadata__`. Other tools write keys of their own,
 * which are ignored; only a key that seems to be one of these, misspelt, is refused.
 */
import { refusal } from "../errors.ts";
import { PACKING_KEYS } from "./packing.ts";
import { tryParseJson } from "./parse_json.ts";
import { METADATA } from "./safetensors_header.ts";
import { unreadable } from "./unreadable.ts";

/** The optional fields of a contribution, with the types of a JSON body. Ranges are checked later, as for JSON. */
export interface GradientFields {
  base_iteration?: number;
  client_id?: string;
  weight?: number;
  hyperparameters?: Record<string, unknown>;
  loss?: unknown;
}

const FIELDS: readonly string[] = [
  "base_iteration",
  "client_id",
  "weight",
  "hyperparameters",
  "loss",
  ...PACKING_KEYS,
];
/** Keys of other tools and of our own answers that resemble none of ours, so that no check is needed. */
const FOREIGN: ReadonlySet<string> = new Set(["format", "iterations", "version"]);
/** A longer key is nobody's slip. */
const KEY_LENGTH_MAX = 32;
/** Strange keys that are looked at: those of a file with thousands are another tool's. */
const GUESSED_MAX = 1000;

/**
 * Reads `base_iteration` and `weight` as JSON numbers, `loss` as one or as the text of a number that JSON lacks,
 * `client_id` as text, `hyperparameters` as a JSON object.
 *
 * Errors: invalid_request for a value of the wrong form, and for a misspelt key.
 */
export function gradientFields(metadata: ReadonlyMap<string, string>): GradientFields {
  const fields: GradientFields = {};
  let strange = 0;
  for (const [key, text] of metadata) {
    const path = `${METADATA}.${key}`;
    if (key === "client_id") fields.client_id = text;
    else if (key === "loss") fields.loss = tryParseJson(text) ?? text;
    else if (key === "base_iteration" || key === "weight") {
      const number = tryParseJson(text);
      if (typeof number !== "number") throw unreadable(path, "must be a number");
      fields[key] = number;
    } else if (key === "hyperparameters") {
      const object = tryParseJson(text);
      if (typeof object !== "object" || object === null || Array.isArray(object)) {
        throw unreadable(path, "must be a JSON object");
      }
      fields.hyperparameters = object as Record<string, unknown>;
    } else if (!PACKING_KEYS.has(key) && !FOREIGN.has(key) && ++strange <= GUESSED_MAX) {
      const meant = guess(key);
      if (meant !== undefined) throw unreadable(path, `is unknown, must be ${meant} if that is meant`);
    }
  }
  return fields;
}

/**
 * The fields of values, which are none. Only keys about compact forms, which values do not have, are refused: the
 * numbers would mean something else.
 */
export function noFields(metadata: ReadonlyMap<string, string>): Record<string, never> {
  for (const key of PACKING_KEYS) {
    if (!metadata.has(key)) continue;
    const subject = { path: `${METADATA}.${key}`, called: "" };
    throw refusal("invalid_request", "take this request", subject, `${METADATA} must not hold "${key}"`);
  }
  return {};
}

const plain = (text: string) => text.toLowerCase().replace(/[^a-z]/g, "");
const PLAIN_FIELDS = FIELDS.map((field) => ({ field, name: plain(field) }));

/** The field that `key` differs from by a slip or two. */
function guess(key: string): string | undefined {
  if (key.length > KEY_LENGTH_MAX) return undefined;
  const given = plain(key);
  return PLAIN_FIELDS.find(({ name }) => {
    const slipsMax = name.length > 6 ? 2 : 1;
    // A header may have a hundred thousand keys: most are told by their length.
    return Math.abs(name.length - given.length) <= slipsMax && slips(given, name) <= slipsMax;
  })?.field;
}

/** The edit distance: letters to insert, delete or replace. */
function slips(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
