/** Answers as texts that are kept, and back: JSON has no NaN and no infinities, which norms can be. */

export function answerText(answer: object): string {
  return JSON.stringify(answer, plain);
}

/** The caller knows what it was. */
export function readAnswer<T>(text: string): T {
  return JSON.parse(text, revive) as T;
}

const plain = (_: string, value: unknown) =>
  typeof value === "number" && !Number.isFinite(value) ? { number: String(value) } : value;

/** A variable may be named `number` too, but what stands under its name is no text. */
const revive = (_: string, value: unknown) =>
  typeof value === "object" && value !== null && "number" in value && typeof value.number === "string"
    ? Number(value.number)
    : value;
