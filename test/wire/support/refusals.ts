/** Shared assertion: a call is refused with exactly this code of the catalogue. */

import assert from "node:assert/strict";
import { type ErrorCode, StepwellError } from "../../../src/errors.ts";

export function assertRefuses(code: ErrorCode, pattern: RegExp, act: () => unknown): void {
  assert.throws(act, (error) => isRefusal(error, code, pattern));
}

export async function assertRejects(
  code: ErrorCode,
  pattern: RegExp,
  act: () => Promise<unknown>,
): Promise<void> {
  await assert.rejects(act, (error) => isRefusal(error, code, pattern));
}

function isRefusal(error: unknown, code: ErrorCode, pattern: RegExp): boolean {
  assert.ok(error instanceof StepwellError, `not a refusal: ${error}`);
  assert.equal(error.code, code, error.message);
  assert.match(error.message, pattern);
  return true;
}
