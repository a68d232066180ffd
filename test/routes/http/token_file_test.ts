/** What the file of tokens may say, and that what is wrong is told by its place, never by what stands there. */
import assert from "node:assert/strict";
import { parseTokens, TokenFileError } from "../../../routes/http/token_file.ts";
import { entryOf } from "../support/tokens.ts";

const GOOD = entryOf("site-3", { scopes: ["read", "contribute"], runs: ["fl-*"], client_id: "site-3" });

function refuses(text: string, pattern: RegExp): void {
  assert.throws(() => parseTokens("tokens.json", text), (error) => {
    assert.ok(error instanceof TokenFileError);
    assert.match(error.message, /^Cannot use STEPWELL_TOKENS="tokens.json": [^\n]+$/);
    assert.match(error.message, pattern);
    return true;
  });
}

Deno.test("parseTokens() reads entries, and a file without any", () => {
  const other = entryOf("b@x.y:1", { runs: [] });
  assert.deepEqual(parseTokens("tokens.json", JSON.stringify([GOOD, other])), [GOOD, other]);
  assert.deepEqual(parseTokens("tokens.json", " [] \n"), []);
  // A token is replaced by another one of the same name.
  const next = { ...GOOD, sha256: "0".repeat(64) };
  assert.equal(parseTokens("tokens.json", JSON.stringify([GOOD, next])).length, 2);
});

Deno.test("parseTokens() says where a file is no JSON", () => {
  refuses("", /it is not JSON/);
  refuses("[\n{]", /it is not JSON: at line 2, column 2$/);
  refuses('[{"sha256": my-secret}]', /it is not JSON: at line 1, column 13$/);
  const twice = JSON.stringify([GOOD]).replace('"name"', '"scopes":["admin"],"name"');
  refuses(twice, /it is not JSON: at line 1, column \d+$/);
});

Deno.test("parseTokens() says which field is wrong and what it must be", () => {
  const wrong: readonly (readonly [change: Record<string, unknown>, pattern: RegExp])[] = [
    [{ sha256: "my-secret" }, /\[1\]\.sha256: must be 64 hexadecimal digits in lower case$/],
    [{ sha256: GOOD.sha256.toUpperCase() }, /\[1\]\.sha256: must be 64/],
    [{ sha256: undefined }, /\[1\]\.sha256: /],
    [{ name: "" }, /\[1\]\.name: must be 1 to 64/],
    [{ name: "my-secret name" }, /\[1\]\.name: must be 1 to 64/],
    [{ name: "default" }, /\[1\]\.name: must not be default, which is STEPWELL_TOKEN$/],
    [{ scopes: [] }, /\[1\]\.scopes: /],
    [{ scopes: ["read", "my-secret"] }, /\[1\]\.scopes\[1\]: must be one of read, contribute, write, admin$/],
    [{ scopes: "read" }, /\[1\]\.scopes: /],
    [{ runs: undefined }, /\[1\]\.runs: /],
    [{ runs: ["a", "my-secret run"] }, /\[1\]\.runs\[1\]: must be 1 to 128/],
    [{ runs: Array(257).fill("a") }, /\[1\]\.runs: /],
    [{ client_id: "" }, /\[1\]\.client_id: /],
    [{ client_id: null }, /\[1\]\.client_id: /],
    [{ surprise: "my-secret" }, /\[1\]: /],
    [{ sha256: entryOf("first").sha256 }, /\[1\]\.sha256 is that of \[0\], must be another$/],
  ];
  for (const [change, pattern] of wrong) {
    refuses(JSON.stringify([entryOf("first"), { ...GOOD, ...change }]), pattern);
    assert.throws(
      () => parseTokens("tokens.json", JSON.stringify([entryOf("first"), { ...GOOD, ...change }])),
      (error: Error) => !error.message.includes("my-secret"),
      JSON.stringify(change),
    );
  }
  refuses("{}", /: the whole: /);
  refuses(JSON.stringify([GOOD, 7]), /\[1\]: /);
});
