/**
 * Makes a token of 256 random bits, prints it once, and prints the entry that stands for it in the file of
 * STEPWELL_TOKENS: the entry has only its hash. Not part of the service.
 *
 *     deno task token site-3 --scope=contribute --runs='fl-*' --client-id=site-3
 */
import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import { parseTokens, SCOPES } from "../routes/http/token_file.ts";

interface Made {
  readonly token: string;
  readonly entry: Readonly<Record<string, unknown>>;
}

/** Makes what the arguments ask for from random bytes. Throws an error with one line for a wrong argument. */
export function makeToken(args: readonly string[], bytes: Uint8Array): Made {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      scope: { type: "string", multiple: true, default: ["read"] },
      runs: { type: "string", multiple: true, default: [] },
      "client-id": { type: "string" },
    },
  });
  if (positionals.length !== 1) {
    throw new Error(
      `Cannot make a token: ${positionals.length} names are given, must be one, as in\n` +
        `  deno task token NAME --scope=${SCOPES.join("|")} --runs='fl-*' --client-id=ID`,
    );
  }
  const token = bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  const clientId = values["client-id"];
  const entry = {
    sha256: createHash("sha256").update(token).digest("hex"),
    name: positionals[0],
    scopes: values.scope,
    runs: values.runs,
    ...clientId !== undefined && { client_id: clientId },
  };
  parseTokens("the new entry", JSON.stringify([entry]));
  return { token, entry };
}

if (import.meta.main) {
  try {
    const { token, entry } = makeToken(Deno.args, crypto.getRandomValues(new Uint8Array(32)));
    console.log(`The token, which is nowhere kept:\n  ${token}`);
    console.log(
      `Its entry for the file of STEPWELL_TOKENS, a JSON array of such:\n  ${JSON.stringify(entry)}`,
    );
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    Deno.exit(1);
  }
}
