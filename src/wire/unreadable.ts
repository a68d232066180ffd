/** The error of all tensor readers for a part that they cannot read. */
import { type ErrorCode, refusal, type StepwellError } from "../errors.ts";

export function unreadable(
  path: string,
  problem: string,
  code: ErrorCode = "invalid_request",
): StepwellError {
  return refusal(code, `read ${path}`, { path, called: "it" }, problem);
}
