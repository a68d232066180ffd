/**
 * JSON that preserves −0: `JSON.stringify` writes it as 0, although `JSON.parse` and arithmetic distinguish the two.
 * Not for numbers that JSON lacks.
 */

/** V8 has it; TypeScript's library does not declare it yet. */
const { rawJSON } = JSON as typeof JSON & { rawJSON(text: string): unknown };
const MINUS_ZERO = rawJSON("-0");

export function exactJson(value: unknown): string {
  // Few values hold one, and a look at each number costs some hundred times less than a call for it.
  if (!holdsMinusZero(value)) return JSON.stringify(value);
  return JSON.stringify(value, (_, each) => Object.is(each, -0) ? MINUS_ZERO : each);
}

function holdsMinusZero(value: unknown): boolean {
  if (typeof value === "number") return Object.is(value, -0);
  if (typeof value !== "object" || value === null) return false;
  return (Array.isArray(value) ? value : Object.values(value)).some(holdsMinusZero);
}

/** A float for `JSON.stringify`: whole numbers have a point or an exponent, by which other languages know a float. */
export function exactNumber(x: number): unknown {
  if (!Number.isInteger(x)) return x;
  const text = Object.is(x, -0) ? "-0" : String(x);
  return rawJSON(/[.e]/.test(text) ? text : `${text}.0`);
}
