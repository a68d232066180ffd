/** Converts answers to text and back. Norms can be NaN or infinite, which JSON cannot express. */

export function answerText(answer: object): string {
  return JSON.stringify(answer, plain);
}

/** The caller must know the type that was written. */
export function readAnswer<T>(text: string): T {
  return JSON.parse(text, revive) as T;
}

const plain = (_: string, value: unknown) =>
  typeof value === "number" && !Number.isFinite(value) ? { number: String(value) } : value;

/** A variable may be named `number` too, but its value is not a string. */
const revive = (_: string, value: unknown) =>
  typeof value === "object" && value !== null && "number" in value && typeof value.number === "string"
    ? Number(value.number)
    : value;
