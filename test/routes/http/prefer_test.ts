/** The Prefer header, as RFC 7240 writes it. */
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
  // What is malformed is passed over; a quotation that never ends takes the rest with it.
  ["wait=1 2, foo", { foo: "" }],
  ["=10, wait=2", { wait: "2" }],
  ["wait==1", {}],
  ["wait@1, wait=2", { wait: "2" }],
  ['foo="a, wait=1', {}],
  ['foo"a", wait=2', { wait: "2" }],
  ["; wait=1", {}],
];

Deno.test("preferences() does read every form that RFC 7240 has when others stand beside it", () => {
  for (const [header, wanted] of ROWS) {
    assert.deepEqual(Object.fromEntries(preferences(header)), wanted, JSON.stringify(header));
  }
});

Deno.test("preferences() does read each letter once when a header is long", () => {
  const repeated = ['"\\', "; ", "a=", "\\", "=", " ", 'a="', ",", "a;"];
  for (const part of repeated) {
    const text = part.repeat(200_000);
    // Quadratic, this would take minutes.
    preferences(text);
    preferences(`wait=1;${text}`);
    preferences(`${text}x y`);
  }
});
