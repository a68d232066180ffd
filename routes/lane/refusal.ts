/** Answers to what cannot become a request of the app. They look like the app's own. */
import { ERRORS, StepwellError } from "../../src/errors.ts";
import { type Problem, PROBLEM_TYPE, problemType } from "../http/problem.ts";

export function refusalOf(error: StepwellError, requestId: string): Response {
  const { code } = error;
  const { status, title } = ERRORS[code];
  const problem: Problem = {
    type: problemType(code),
    title,
    status,
    detail: error.message,
    code,
    request_id: requestId,
    issues: [],
  };
  const text = JSON.stringify(problem);
  return new Response(text, {
    status,
    headers: {
      "Content-Type": PROBLEM_TYPE,
      "Content-Length": String(new TextEncoder().encode(text).length),
      "Cache-Control": "no-store",
      "X-Content-Type-Options": "nosniff",
      "X-Request-Id": requestId,
    },
  });
}

/** What the caller may know of an error: its text if it is a refusal. */
export function asRefusal(error: unknown): StepwellError {
  return error instanceof StepwellError ? error : new StepwellError("internal", ERRORS.internal.meaning);
}
