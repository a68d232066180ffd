/**
 * The `Prefer` header (RFC 7240): what a caller would like, if it can be had. Never a reason to refuse: what is
 * malformed or unknown is passed over, and of a preference that is given twice the first counts.
 */
import type { AppContext } from "./context.ts";
import { negotiate, type TensorType } from "./negotiate.ts";

/** A preference: its name, and its value as a token or between quotes. Its parameters mean nothing here. */
const PREFERENCE =
  /^\s*([!#$%&'*+.^_`|~0-9a-z-]+)(?:\s*=\s*(?:([!#$%&'*+.^_`|~0-9a-z-]+)|"((?:[^"\\]|\\.)*)"))?\s*(?:;|$)/i;

/** Preferences by their names in lower case; one without a value has the empty text. */
export function preferences(header: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const element of elements(header)) {
    const [, name, token, quoted] = PREFERENCE.exec(element) ?? [];
    const key = name?.toLowerCase();
    if (key === undefined || found.has(key)) continue;
    found.set(key, token ?? quoted?.replaceAll(/\\(.)/g, "$1") ?? "");
  }
  return found;
}

/** What stands between commas; those between quotes are no ends. */
function* elements(header: string): Generator<string> {
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at < header.length; at++) {
    const letter = header[at];
    if (letter === '"') isQuoted = !isQuoted;
    else if (isQuoted) at += letter === "\\" ? 1 : 0;
    else if (letter === ",") {
      yield header.slice(start, at);
      start = at + 1;
    }
  }
  yield header.slice(start);
}

/** The value of a preference of this request; undefined when it has none of this name. */
export const preference = (c: AppContext, name: string): string | undefined =>
  preferences(c.req.header("Prefer") ?? "").get(name);

/**
 * The type in which `Prefer: return=representation` asks for the new values; undefined when it does not ask. To be
 * read before anything changes: throws as {@link negotiate}.
 */
export function preferredRepresentation(c: AppContext): TensorType | undefined {
  return preference(c, "return")?.toLowerCase() === "representation" ? negotiate(c) : undefined;
}
