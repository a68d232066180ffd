/** Making tokens: what is printed is what the service takes. */
import assert from "node:assert/strict";
import { parseTokens } from "../routes/http/token_file.ts";
import { Tokens } from "../routes/http/tokens.ts";
import { makeToken } from "../tools/make_token.ts";

const BYTES = Uint8Array.from({ length: 32 }, (_, i) => i * 7 + 250);

Deno.test("makeToken() makes an entry that stands for the token", () => {
  const args = ["site-3", "--scope=contribute", "--runs=fl-*", "--runs=demo", "--client-id=site-3"];
  const { token, entry } = makeToken(args, BYTES);
  assert.match(token, /^[A-Za-z0-9_-]{43}$/);
  assert.deepEqual({ ...entry, sha256: "" }, {
    sha256: "",
    name: "site-3",
    scopes: ["contribute"],
    runs: ["fl-*", "demo"],
    client_id: "site-3",
  });
  const tokens = new Tokens({ STEPWELL_TOKEN: "", STEPWELL_TOKENS: "tokens.json" });
  tokens.replace(parseTokens("tokens.json", JSON.stringify([entry])));
  assert.equal(tokens.find(token)?.name, "site-3");
});

Deno.test("makeToken() gives the least rights if nothing is asked for, and another token for other bytes", () => {
  const { token, entry } = makeToken(["a"], BYTES);
  assert.deepEqual([entry["scopes"], entry["runs"], "client_id" in entry], [["read"], [], false]);
  assert.notEqual(makeToken(["a"], BYTES.map((byte) => byte ^ 1)).token, token);
});

Deno.test("makeToken() refuses what the service would refuse", () => {
  for (
    const [args, pattern] of [
      [[], /0 names are given, must be one/],
      [["a", "b"], /2 names are given/],
      [["a b"], /name: must be 1 to 64/],
      [["default"], /name: must not be default/],
      [["a", "--scope=all"], /scopes\[0\]: must be one of read, contribute, write, admin/],
      [["a", "--runs=a/b"], /runs\[0\]: must be/],
      [["a", "--client-id="], /client_id/],
      [["a", "--color"], /color/],
    ] as const
  ) {
    assert.throws(() => makeToken(args, BYTES), pattern, args.join(" "));
  }
});
