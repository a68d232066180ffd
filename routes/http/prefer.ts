/**
 * The `Prefer` header (RFC 7240): optional wishes of the caller. It is never a reason to refuse: malformed and
 * unknown preferences are ignored, and the first counts if one is given twice.
 */
import type { AppContext } from "./context.ts";
import { listParts } from "./header_list.ts";
import { negotiate, type TensorType } from "./negotiate.ts";

/** A preference: its name, and its value as a token or a quoted string. Parameters are ignored. */
const PREFERENCE =
  /^\s*([!#$%&'*+.^_`|~0-9a-z-]+)(?:\s*=\s*(?:([!#$%&'*+.^_`|~0-9a-z-]+)|"((?:[^"\\]|\\.)*)"))?\s*(?:;|$)/i;

/** Preferences by name in lower case. One without a value has the empty string. */
export function preferences(header: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const element of listParts(header, ",")) {
    const [, name, token, quoted] = PREFERENCE.exec(element) ?? [];
    const key = name?.toLowerCase();
    if (key === undefined || found.has(key)) continue;
    found.set(key, token ?? quoted?.replaceAll(/\\(.)/g, "$1") ?? "");
  }
  return found;
}

/** The value of a preference of this request; undefined if it is not there. */
export const preference = (c: AppContext, name: string): string | undefined =>
  preferences(c.req.header("Prefer") ?? "").get(name);

/**
 * The type in which `Prefer: return=representation` asks for the new values; undefined if it does not ask. Call it
 * before any change: it throws like {@link negotiate}.
 */
export function preferredRepresentation(c: AppContext): TensorType | undefined {
  return preference(c, "return")?.toLowerCase() === "representation" ? negotiate(c) : undefined;
}
