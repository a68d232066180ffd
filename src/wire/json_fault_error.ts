/** The errors of a JSON text that cannot be read, or not here. */
import { StepwellError } from "../errors.ts";

/** Arrays and objects may be nested this deep. No body needs more; each level costs every later reader a call. */
export const JSON_DEPTH_MAX = 64;

/** How a fault says that a text is nested too deep. */
export const TOO_DEEP = `nested more than ${JSON_DEPTH_MAX} deep`;

export function malformedJson(problem: string): StepwellError {
  return new StepwellError("malformed_json", `Cannot parse the body as JSON: ${problem}`);
}

/** A character that must not be there, in words. The bytes from `at` are UTF-8, or no text at all. */
export function unexpectedByte(bytes: Uint8Array, at: number): string {
  const [character = ""] = new TextDecoder().decode(bytes.subarray(at, at + 4));
  return `unexpected ${JSON.stringify(character)}`;
}
