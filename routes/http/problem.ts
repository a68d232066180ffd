/**
 * Turns any error into an RFC 9457 problem. Only this file maps errors to statuses; src/errors.ts has the table.
 *
 * Invariant: the texts of unexpected errors and of disk errors go to the log under the request id, never to the
 * caller.
 */
import { HTTPException } from "hono/http-exception";
import { type ErrorCode, ERRORS, type Issue, StepwellError } from "../../src/errors.ts";
import { boundedDetail, boundedIssues } from "./bounded_problem.ts";
import type { AppContext, Services } from "./context.ts";

export const PROBLEM_TYPE = "application/problem+json";

/** The `type` of a problem: an identifier, not an address. */
export function problemType(code: ErrorCode): string {
  return `urn:stepwell:problem:${code}`;
}

/** Whether the answer has a Retry-After. */
export const isRetriable = (status: number): boolean => status === 503 || status === 429;

/** Headers that the replaced answer may have set. None of them is true of the problem. */
const ANSWER_HEADERS = [
  "Content-Length",
  "ETag",
  "Location",
  "Preference-Applied",
  "Idempotency-Replayed",
  "X-Accel-Buffering",
];

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  request_id: string;
  issues: readonly Issue[];
}

/** Answers with a problem for any thrown value. */
export function answerProblem(c: AppContext, thrown: unknown, log: Services["log"]): Response {
  const error = toStepwellError(thrown);
  if (error === undefined) {
    log({
      level: "error",
      ...idsOf(c),
      error: thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown),
    });
  }
  const code = error?.code ?? "internal";
  const { status, title, meaning } = ERRORS[code];
  // Details of the service's own faults, such as file paths, are for the operator.
  const issues = status < 500 ? boundedIssues(error?.issues ?? []) : [];
  if (status >= 500 && error && error.issues.length > 0) {
    log({
      level: "error",
      ...idsOf(c),
      code,
      error: error.issues.map(({ message }) => message).join("; "),
    });
  }
  c.set("code", code);
  for (const name of ANSWER_HEADERS) c.header(name, undefined);
  if (isRetriable(status)) c.header("Retry-After", "1");
  // Deno.serve closes the connection once the rest of the body has come, or the client ends it.
  if (code === "body_timeout") c.header("Connection", "close");
  const challenge = challengeOf(thrown);
  if (challenge !== undefined) c.header("WWW-Authenticate", challenge);
  const problem: Problem = {
    type: problemType(code),
    title,
    status,
    detail: boundedDetail(error?.message ?? meaning),
    code,
    request_id: c.get("requestId"),
    issues,
  };
  c.header("Content-Type", PROBLEM_TYPE);
  c.header("Cache-Control", "no-store");
  return c.body(JSON.stringify(problem), status);
}

const idsOf = (c: AppContext) => ({
  request_id: c.get("requestId"),
  client_request_id: c.get("clientRequestId"),
  token: c.get("caller")?.name,
});

/** Refusals keep their code; those of the bearer middleware get one. Undefined for an unexpected error. */
function toStepwellError(thrown: unknown): StepwellError | undefined {
  if (thrown instanceof StepwellError) return thrown;
  if (!(thrown instanceof HTTPException)) return undefined;
  if (thrown.status === 401) {
    return new StepwellError(
      "unauthorized",
      "Cannot accept this request: its bearer token is missing or wrong",
    );
  }
  if (thrown.status === 400) {
    return new StepwellError(
      "malformed_header",
      "Cannot read the Authorization header: must be `Bearer <token>`",
      [{ path: "header.Authorization", message: "Must be `Bearer <token>`" }],
    );
  }
  return undefined;
}

function challengeOf(thrown: unknown): string | undefined {
  return thrown instanceof HTTPException
    ? thrown.res?.headers.get("WWW-Authenticate") ?? undefined
    : undefined;
}
