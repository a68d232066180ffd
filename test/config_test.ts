/** Settings: defaults, bounds, and the rule that only loopback needs no token. */
import assert from "node:assert/strict";
import { readSettings, SettingError, SETTINGS } from "../src/config.ts";

const read = (variables: Record<string, string> = {}) => readSettings((name) => variables[name]);

function refuses(variables: Record<string, string>, pattern: RegExp): void {
  assert.throws(() => read(variables), (error) => {
    assert.ok(error instanceof SettingError);
    assert.match(error.message, pattern);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

Deno.test("readSettings() gives every default when nothing is set", () => {
  const settings = read();
  assert.deepEqual(
    settings,
    Object.fromEntries(Object.entries(SETTINGS).map(([name, setting]) => [name, setting.default])),
  );
  assert.deepEqual([settings.STEPWELL_HOST, settings.STEPWELL_PORT], ["127.0.0.1", 8080]);
});

Deno.test("readSettings() treats an empty variable as absent", () => {
  assert.deepEqual(read({ STEPWELL_PORT: "", STEPWELL_TOKEN: "" }), read());
});

Deno.test("every setting has a default within its bounds and a description", () => {
  for (const [name, setting] of Object.entries(SETTINGS)) {
    assert.match(name, /^STEPWELL_[A-Z_]+$/);
    assert.ok(setting.description.endsWith("."), name);
    if (setting.kind === "number") {
      assert.ok(setting.minimum <= setting.default && setting.default <= setting.maximum, name);
    } else assert.ok(setting.default === "" || setting.pattern.test(setting.default), name);
  }
});

Deno.test("readSettings() accepts both ends of every range, refuses values beyond, and names both ends", () => {
  for (const [name, setting] of Object.entries(SETTINGS)) {
    if (setting.kind !== "number") continue;
    for (const value of [setting.minimum, setting.maximum]) {
      assert.equal(read({ [name]: String(value) })[name as keyof typeof SETTINGS], value);
    }
    const range = new RegExp(`${name} .*from ${setting.minimum} to ${setting.maximum}`);
    refuses({ [name]: String(setting.maximum + 1) }, range);
    if (setting.minimum > 0) refuses({ [name]: String(setting.minimum - 1) }, range);
  }
});

Deno.test("readSettings() refuses malformed numbers", () => {
  for (const text of ["x", "-1", "1.5", "1e3", "0x50", " 80", "８０", "99999999999999999999"]) {
    refuses(
      { STEPWELL_PORT: text },
      /^Cannot use STEPWELL_PORT \(is ".*"\): must be a whole number from 0 to 65535/,
    );
  }
});

Deno.test("readSettings() requires a token for every host but loopback", () => {
  for (const host of ["127.0.0.1", "127.1.2.3", "::1", "localhost"]) {
    assert.equal(read({ STEPWELL_HOST: host }).STEPWELL_HOST, host);
  }
  for (const host of ["0.0.0.0", "::", "192.168.0.1", "127.0.0.1.example.org", "example.org", "128.0.0.1"]) {
    refuses({ STEPWELL_HOST: host }, /STEPWELL_HOST=".*" without a token: set STEPWELL_TOKEN/);
    assert.equal(read({ STEPWELL_HOST: host, STEPWELL_TOKEN: "sixteen-letters." }).STEPWELL_HOST, host);
    refuses(
      { STEPWELL_HOST: host, STEPWELL_TOKEN: "fifteen-letters" },
      /it has 15 characters, must have at least 16 beyond loopback$/,
    );
  }
  assert.equal(read({ STEPWELL_TOKEN: "abc" }).STEPWELL_TOKEN, "abc");
});

Deno.test("readSettings() takes a file of tokens in place of a token, for every host and for every origin", () => {
  const file = { STEPWELL_TOKENS: "/etc/stepwell/tokens.json" };
  assert.equal(read({ ...file, STEPWELL_HOST: "0.0.0.0" }).STEPWELL_TOKENS, file.STEPWELL_TOKENS);
  assert.equal(read({ ...file, STEPWELL_CORS_ORIGINS: "*" }).STEPWELL_CORS_ORIGINS, "*");
  // A short token is no better beside a file.
  refuses(
    { ...file, STEPWELL_HOST: "0.0.0.0", STEPWELL_TOKEN: "short" },
    /must have at least 16 beyond loopback$/,
  );
  // A comma parts the files that the service may read.
  refuses({ STEPWELL_TOKENS: "a,b" }, /STEPWELL_TOKENS .*must be a path without commas$/);
});

Deno.test("readSettings() takes origins and hosts, and * only with a token", () => {
  refuses({ STEPWELL_CORS_ORIGINS: "*" }, /STEPWELL_CORS_ORIGINS="\*" without a token/);
  assert.equal(read({ STEPWELL_CORS_ORIGINS: "*", STEPWELL_TOKEN: "abc" }).STEPWELL_CORS_ORIGINS, "*");
  for (const origins of ["https://a.example", "http://localhost:3000, https://[::1]:8", "app://x"]) {
    assert.equal(read({ STEPWELL_CORS_ORIGINS: origins }).STEPWELL_CORS_ORIGINS, origins);
  }
  for (const origins of ["a.example", "https://a.example/", "https://a.example,", "*,https://a", "null"]) {
    refuses({ STEPWELL_CORS_ORIGINS: origins }, /must be origins such as https:\/\/example.org/);
  }
  for (const hosts of ["a.example", "a.example:443,b", "10.0.0.1, b"]) {
    assert.equal(read({ STEPWELL_HOSTS: hosts }).STEPWELL_HOSTS, hosts);
  }
  for (const hosts of ["http://a", "a/b", "a b", "*", "a,"]) {
    refuses({ STEPWELL_HOSTS: hosts }, /must be host names/);
  }
});

Deno.test("readSettings() never shows a malformed token", () => {
  refuses({ STEPWELL_TOKEN: "my secret" }, /^Cannot use STEPWELL_TOKEN: must be (?!.*my secret)/);
});

Deno.test("readSettings() refuses a malformed host and an unknown kind of log", () => {
  refuses(
    { STEPWELL_HOST: "http://x/" },
    /STEPWELL_HOST \(is "http:\/\/x\/"\): must be a host name or an IP address/,
  );
  refuses({ STEPWELL_LOG: "all" }, /STEPWELL_LOG \(is "all"\): must be requests or errors/);
});

Deno.test("readSettings() takes prefixes and proxies, and refuses what resembles them", () => {
  for (const prefix of ["/stepwell", "/a/b-c/d.e", "/v10", "/~x"]) {
    assert.equal(read({ STEPWELL_PATH_PREFIX: prefix }).STEPWELL_PATH_PREFIX, prefix);
  }
  for (
    const prefix of [
      "/",
      "a",
      "/a/",
      "//a",
      "/a//b",
      "/..",
      "/a/../b",
      "/a?b",
      "/v1",
      "/docs/x",
      "/openapi.json",
    ]
  ) {
    refuses({ STEPWELL_PATH_PREFIX: prefix }, /STEPWELL_PATH_PREFIX .*must be a path such as \/stepwell/);
  }
  for (const proxies of ["127.0.0.1", "10.0.0.0/8,::1", "fd00::/8 , 192.168.0.0/16"]) {
    assert.equal(read({ STEPWELL_TRUSTED_PROXIES: proxies }).STEPWELL_TRUSTED_PROXIES, proxies);
  }
  for (
    const proxies of [
      "localhost",
      "10.0.0",
      "10.0.0.0/33",
      "10.0.0.256",
      "::/129",
      "10.0.0.0/8/8",
      "1.1.1.1,",
    ]
  ) {
    refuses(
      { STEPWELL_TRUSTED_PROXIES: proxies },
      /STEPWELL_TRUSTED_PROXIES .*must be IP addresses or subnets/,
    );
  }
});
