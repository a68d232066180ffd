/**
 * What the file of tokens says: a JSON array with an entry for each token. It knows no request.
 *
 * Invariant: a file is taken as a whole or not at all. No message quotes a value, because somebody may have put a token
 * where its hash belongs.
 */
import { z } from "@hono/zod-openapi";
import { findJsonFault, showJsonFault } from "../../src/wire/json_fault.ts";
import { GLOB } from "./globs.ts";
import { ClientId } from "./ids.ts";

/** What a token may do, each with what the ones before may do. */
export const SCOPES = ["read", "contribute", "write", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** The name of STEPWELL_TOKEN in the log. No token of the file has it. */
export const DEFAULT_NAME = "default";

const TOKENS_MAX = 10_000;
const RUNS_MAX = 256;

export const TokenEntry = z.strictObject({
  sha256: z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal digits in lower case"),
  name: z.string().regex(/^[\w.:@-]{1,64}$/, "must be 1 to 64 of A-Z a-z 0-9 _ . : @ -")
    .refine((name) => name !== DEFAULT_NAME, `must not be ${DEFAULT_NAME}, which is STEPWELL_TOKEN`),
  scopes: z.array(z.enum(SCOPES, `must be one of ${SCOPES.join(", ")}`)).min(1),
  runs: z.array(z.string().regex(GLOB, "must be 1 to 128 of A-Z a-z 0-9 . _ - * ?")).max(RUNS_MAX),
  client_id: ClientId.optional(),
});
export type TokenEntry = z.output<typeof TokenEntry>;

/** The file cannot be used. The message is one line for the operator and quotes nothing of the file. */
export class TokenFileError extends Error {
  override readonly name = "TokenFileError";

  constructor(path: string, problem: string) {
    super(`Cannot use STEPWELL_TOKENS=${JSON.stringify(path)}: ${problem}`);
  }
}

/** Reads the text of a file. `path` is for messages. Throws a {@link TokenFileError} that says where it is wrong. */
export function parseTokens(path: string, text: string): readonly TokenEntry[] {
  // Names that an object has twice are found too: JSON.parse would take the last.
  const fault = findJsonFault(text);
  if (fault) throw new TokenFileError(path, `it is not JSON: ${placeOf(showJsonFault(text, fault))}`);
  const parsed = z.array(TokenEntry).max(TOKENS_MAX).safeParse(JSON.parse(text));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new TokenFileError(path, `${showPath(issue?.path ?? [])}: ${issue?.message}`);
  }
  const places = new Map<string, number>();
  for (const [at, { sha256 }] of parsed.data.entries()) {
    const earlier = places.get(sha256);
    if (earlier !== undefined) {
      throw new TokenFileError(path, `[${at}].sha256 is that of [${earlier}], must be another`);
    }
    places.set(sha256, at);
  }
  return parsed.data;
}

/** The place of a fault without what stands there. */
const placeOf = (shown: string) => /at line \d+, column \d+/.exec(shown)?.[0] ?? shown;

function showPath(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "the whole";
  return path.map((part) => typeof part === "number" ? `[${part}]` : `.${String(part)}`).join("");
}
