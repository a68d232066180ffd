/**
 * JSON that gives the same numbers back: `JSON.stringify` writes 0 for −0, which `JSON.parse` tells apart and which
 * arithmetic can tell apart too. Not for numbers that JSON lacks.
 */

/** V8 has it; TypeScript's library does not name it yet. */
const { rawJSON } = JSON as typeof JSON & { rawJSON(text: string): unknown };
const MINUS_ZERO = rawJSON("-0");

export function exactJson(value: unknown): string {
  return JSON.stringify(value, (_, each) => Object.is(each, -0) ? MINUS_ZERO : each);
}
