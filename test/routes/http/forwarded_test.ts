/** Which address a request counts for behind proxies: the one that the last trusted proxy saw, whatever was sent before. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { originOf } from "../../../routes/http/forwarded.ts";
import { trustedProxies } from "../../../routes/http/proxies.ts";
import { readSettings } from "../../../src/config.ts";

const settings = {
  ...readSettings(() => undefined),
  STEPWELL_TRUSTED_PROXIES: "10.0.0.0/8, fd00::/8, 192.0.2.1",
};
const isTrusted = trustedProxies(settings) as (address: string) => boolean;
const PROXY = "10.0.0.1";
const byList = (list: string, peer = PROXY) => originOf(peer, { list, pairs: undefined }, isTrusted);
const byPairs = (pairs: string, peer = PROXY) => originOf(peer, { list: undefined, pairs }, isTrusted);

Deno.test("trustedProxies() knows addresses and subnets of both families, and is absent without the setting", () => {
  for (const yes of ["10.9.8.7", "fd12::1", "192.0.2.1", "fd00::1%eth0"]) assert.ok(isTrusted(yes), yes);
  for (const no of ["11.0.0.1", "192.0.2.2", "fe80::1%eth0", "localhost", ""]) assert.ok(!isTrusted(no), no);
  assert.equal(trustedProxies({ ...settings, STEPWELL_TRUSTED_PROXIES: "" }), undefined);
});

Deno.test("X-Forwarded-For counts from its end, over trusted proxies, as far as it can be read", () => {
  const cases: [list: string, wanted: string][] = [
    ["203.0.113.9", "203.0.113.9"],
    ["1.1.1.1, 203.0.113.9", "203.0.113.9"],
    ["1.1.1.1,203.0.113.9 ,\t10.2.2.2, fd00::5", "203.0.113.9"],
    ["203.0.113.9:4711", "203.0.113.9"],
    ["[2001:db8::7]:4711", "2001:db8::7"],
    ["[2001:db8::7]", "2001:db8::7"],
    ["2001:db8::7", "2001:db8::7"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    // Only trusted proxies: the first of them is the client.
    ["10.3.3.3, 10.2.2.2", "10.3.3.3"],
    // What cannot be read stands for somebody that the proxy behind it knows.
    ["1.1.1.1, unknown", PROXY],
    ["1.1.1.1, unknown, 10.2.2.2", "10.2.2.2"],
    ["1.1.1.1, ", PROXY],
    ["1.1.1.1, [203.0.113.9]", PROXY],
    ["1.1.1.1, 203.0.113.9:port", PROXY],
    ["1.1.1.1, 203.0.113.256", PROXY],
    ["1.1.1.1, 203.0.113.09", PROXY],
    ["1.1.1.1, [2001:db8::7", PROXY],
    ["1.1.1.1, client.example", PROXY],
    ["", PROXY],
  ];
  for (const [list, wanted] of cases) assert.equal(byList(list), wanted, list);
});

Deno.test("Forwarded counts from its end, as RFC 7239 writes it", () => {
  const cases: [pairs: string, wanted: string][] = [
    ["for=203.0.113.9", "203.0.113.9"],
    ["For=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"],
    ['proto=http;for="203.0.113.9:80" ; host="a,b;c"', "203.0.113.9"],
    ['for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"],
    ['for="\\203.0.113.9"', "203.0.113.9"],
    ["for=1.1.1.1, for=203.0.113.9, for=10.2.2.2", "203.0.113.9"],
    ["for=1.1.1.1, , for=203.0.113.9,", "203.0.113.9"],
    // A host that a caller chose is no hop.
    ['for=203.0.113.9;host="x, for=1.1.1.1"', "203.0.113.9"],
    ['for=203.0.113.9;host="x\\", for=1.1.1.1"', "203.0.113.9"],
    ["for=1.1.1.1, for=unknown", PROXY],
    ["for=1.1.1.1, for=_hidden, for=10.2.2.2", "10.2.2.2"],
    ["for=1.1.1.1, proto=https", PROXY],
    // Outside of the grammar, wherever that is.
    ['x="open, for=203.0.113.9', PROXY],
    ['x="open, for="[2001:db8::7]:80"', PROXY],
    ["for=1.1.1.1, for=203.0.113.9;for=203.0.113.8", PROXY],
    ["for=[2001:db8::7]", PROXY],
    ["for 203.0.113.9", PROXY],
    ["", PROXY],
  ];
  for (const [pairs, wanted] of cases) assert.equal(byPairs(pairs), wanted, pairs);
});

Deno.test("both headers together must tell the same address", () => {
  const both = (list: string, pairs: string) => originOf(PROXY, { list, pairs }, isTrusted);
  assert.equal(both("203.0.113.9", "for=203.0.113.9"), "203.0.113.9");
  assert.equal(both("203.0.113.9", "for=1.1.1.1"), PROXY);
  assert.equal(both("203.0.113.9", "garbage"), PROXY);
  assert.equal(originOf(PROXY, { list: undefined, pairs: undefined }, isTrusted), PROXY);
});

Deno.test("nobody but a trusted proxy decides the address, whatever stands in the headers", () => {
  const text = fc.oneof(
    fc.string(),
    fc.array(
      fc.constantFrom("for=", "1.1.1.1", "10.1.1.1", '"', "\\", ",", ";", "[", "]", "::1", " ", "host="),
    ).map(
      (parts) => parts.join(""),
    ),
  );
  const client = fc.ipV4().filter((address) => !isTrusted(address));
  fc.assert(fc.property(text, client, (made, address) => {
    assert.equal(originOf(address, { list: made, pairs: made }, isTrusted), address);
    // A proxy that adds what it saw: the caller's part makes it unreadable at worst.
    assert.equal(byList(`${made}, ${address}`), address);
    for (const added of [`for=${address}`, `for="${address}:80";host="h"`]) {
      assert.ok([address, PROXY].includes(byPairs(`${made}, ${added}`)), made);
    }
  }));
});
