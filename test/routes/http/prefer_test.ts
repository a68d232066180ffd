/** The Prefer header, in the grammar of RFC 7240. */
import assert from "node:assert/strict";
import { preferences } from "../../../routes/http/prefer.ts";

const ROWS: readonly (readonly [header: string, preferences: Readonly<Record<string, string>>])[] = [
  ["", {}],
  ["wait=10", { wait: "10" }],
  ["respond-async, wait=10", { "respond-async": "", wait: "10" }],
  ["return=representation,wait=10", { return: "representation", wait: "10" }],
  ["WAIT=10", { wait: "10" }],
  ["Return=Representation", { return: "Representation" }],
  [" wait = 10 ", { wait: "10" }],
  ['wait="10"', { wait: "10" }],
  ['foo=""', { foo: "" }],
  ["wait=10; exact", { wait: "10" }],
  ['wait=10;by="a, b; c", foo', { wait: "10", foo: "" }],
  ["wait=1, wait=2", { wait: "1" }],
  ["Wait=1, wait=2", { wait: "1" }],
  [",, wait=1 ,", { wait: "1" }],
  ['foo="a, wait=1", wait=2', { foo: "a, wait=1", wait: "2" }],
  ['foo="a\\", wait=1", wait=2', { foo: 'a", wait=1', wait: "2" }],
  ['foo="a\\\\", wait=2', { foo: "a\\", wait: "2" }],
  // Malformed preferences are ignored. An unclosed quote takes the rest of the header.
  ["wait=1 2, foo", { foo: "" }],
  ["=10, wait=2", { wait: "2" }],
  ["wait==1", {}],
  ["wait@1, wait=2", { wait: "2" }],
  ['foo="a, wait=1', {}],
  ['foo"a", wait=2', { wait: "2" }],
  ["; wait=1", {}],
];

Deno.test("preferences() reads every form of RFC 7240 beside any others", () => {
  for (const [header, wanted] of ROWS) {
    assert.deepEqual(Object.fromEntries(preferences(header)), wanted, JSON.stringify(header));
  }
});

Deno.test("preferences() reads a long header in linear time", () => {
  const repeated = ['"\\', "; ", "a=", "\\", "=", " ", 'a="', ",", "a;"];
  for (const part of repeated) {
    const text = part.repeat(200_000);
    // In quadratic time this would take minutes.
    preferences(text);
    preferences(`wait=1;${text}`);
    preferences(`${text}x y`);
  }
});
