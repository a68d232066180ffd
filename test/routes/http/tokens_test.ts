/** Which caller a token stands for, and when it no longer does. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Tokens } from "../../../routes/http/tokens.ts";
import { entryOf, tokenOf } from "../support/tokens.ts";

const settings = (token: string, path: string) => ({ STEPWELL_TOKEN: token, STEPWELL_TOKENS: path });

Deno.test("Tokens() finds STEPWELL_TOKEN, which may do everything and tells nobody from anybody", () => {
  const tokens = new Tokens(settings("short", ""));
  const caller = tokens.find("short");
  assert.deepEqual([caller?.name, caller?.scope, caller?.isShared, caller?.clientId], [
    "default",
    "admin",
    true,
    undefined,
  ]);
  assert.ok(caller?.runs.matchAll && caller.revoked === undefined);
  for (const wrong of ["", "shor", "shortt", "SHORT", tokenOf("a")]) {
    assert.equal(tokens.find(wrong), undefined);
  }
});

Deno.test("Tokens() asks for a token if either setting is there", () => {
  assert.deepEqual(
    [settings("", ""), settings("a", ""), settings("", "f"), settings("a", "f")].map((each) =>
      new Tokens(each).areAsked
    ),
    [false, true, true, true],
  );
  assert.equal(new Tokens(settings("", "")).find(""), undefined);
});

Deno.test("Tokens.find() gives what the entry says, with the highest of its scopes", () => {
  const tokens = new Tokens(settings("a-token-of-the-settings", "f"));
  tokens.replace([
    entryOf("a", { scopes: ["read", "contribute"], runs: ["x-*"], client_id: "phone" }),
    entryOf("b", { scopes: ["write", "read"] }),
    entryOf("c", { scopes: ["read"], runs: [] }),
  ]);
  const [a, b, c] = ["a", "b", "c"].map((name) => tokens.find(tokenOf(name)));
  assert.deepEqual([a?.name, a?.scope, a?.clientId, a?.isShared], ["a", "contribute", "phone", false]);
  assert.deepEqual(["x-1", "y"].map((id) => a?.runs.matches(id)), [true, false]);
  assert.deepEqual([b?.scope, b?.clientId, b?.runs.matchAll], ["write", undefined, true]);
  assert.deepEqual([c?.scope, c?.runs.matches("x")], ["read", false]);
  assert.equal(tokens.find("a-token-of-the-settings")?.name, "default");
  assert.equal(tokens.find(entryOf("a").sha256), undefined, "a hash is no token");
  assert.equal(tokens.find(tokenOf("d")), undefined);
});

Deno.test("Tokens.find() takes no token of the file that is short enough to be guessed", () => {
  const tokens = new Tokens(settings("", "f"));
  const entry = (token: string) => entryOf("a", { sha256: createHash("sha256").update(token).digest("hex") });
  tokens.replace([entry("fifteen-letters"), entry("sixteen-letters.")]);
  assert.equal(tokens.find("fifteen-letters"), undefined);
  assert.equal(tokens.find("sixteen-letters.")?.name, "a");
});

Deno.test("Tokens.replace() keeps callers whose entries are the same, and revokes all others", () => {
  const tokens = new Tokens(settings("", "f"));
  assert.deepEqual(tokens.replace([entryOf("kept"), entryOf("gone"), entryOf("changed")]), []);
  const [kept, gone, changed] = ["kept", "gone", "changed"].map((name) => tokens.find(tokenOf(name)));
  const revoked = tokens.replace([entryOf("new"), entryOf("changed", { runs: ["a"] }), entryOf("kept")]);
  assert.deepEqual(revoked, ["gone", "changed"]);
  assert.deepEqual([kept, gone, changed].map((caller) => caller?.revoked?.aborted), [false, true, true]);
  assert.equal(tokens.find(tokenOf("kept")), kept);
  assert.equal(tokens.find(tokenOf("gone")), undefined);
  assert.deepEqual(tokens.find(tokenOf("changed"))?.runs.patterns, ["a"]);
  assert.equal(tokens.find(tokenOf("changed"))?.revoked?.aborted, false);
  assert.equal(tokens.find(tokenOf("new"))?.name, "new");
});
