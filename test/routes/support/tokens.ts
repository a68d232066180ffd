/** Services with a file of tokens, and requests that carry one. */
import { createHash } from "node:crypto";
import type { Services } from "../../../routes/http/context.ts";
import type { TokenEntry } from "../../../routes/http/token_file.ts";
import type { Settings } from "../../../src/config.ts";
import { type Service, startService } from "./harness.ts";

/** A token that is long enough, of a name. */
export const tokenOf = (name: string) => `token-of-${name}-0123456789`;

/** The header of a request with {@link tokenOf} the name. */
export const asToken = (name: string) => ({ Authorization: `Bearer ${tokenOf(name)}` });

/** The entry of {@link tokenOf} the name: an admin of everything, if nothing else is said. */
export function entryOf(name: string, more: Partial<TokenEntry> = {}): TokenEntry {
  const sha256 = createHash("sha256").update(tokenOf(name)).digest("hex");
  return { sha256, name, scopes: ["admin"], runs: ["*"], ...more };
}

/** Tokens that lack something, as the tables of rejections use them. */
export const LIMITED: readonly TokenEntry[] = [
  entryOf("reader", { scopes: ["read"] }),
  entryOf("elsewhere", { runs: ["elsewhere-*"] }),
  entryOf("bound", { scopes: ["contribute"], client_id: "phone-7" }),
];

/** A service with these tokens. Its own `send` carries that of "root", an admin of everything. */
export function startWithTokens(
  entries: readonly TokenEntry[] = [],
  settings: Partial<Settings> = {},
  replaced: Partial<Services> = {},
): Service & { readonly sendAs: (name: string) => Service["send"] } {
  const service = startService({ ...settings, STEPWELL_TOKENS: "tokens.json" }, replaced);
  service.tokens.replace([entryOf("root"), ...entries]);
  const sendAs = (name: string): Service["send"] => (method, path, options = {}) =>
    service.send(method, path, {
      ...options,
      headers: { ...asToken(name), ...options.headers },
    });
  return { ...service, send: sendAs("root"), sendAs };
}
