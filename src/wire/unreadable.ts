/** What every reader of tensors says of a part that it cannot read. */
import { type ErrorCode, refusal, type StepwellError } from "../errors.ts";

export function unreadable(
  path: string,
  problem: string,
  code: ErrorCode = "invalid_request",
): StepwellError {
  return refusal(code, `read ${path}`, { path, called: "it" }, problem);
}
