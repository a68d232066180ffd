/**
 * Turns the errors that zod found into one refusal with an issue for each. It validates nothing.
 */
import type { z } from "@hono/zod-openapi";
import { type Issue, StepwellError } from "../../src/errors.ts";

/** More would not help, and a malicious body could cause as many as it has bytes. */
const ISSUES_MAX = 20;

/** `where` is the part of the request: param, query or body. Paths in a body have no prefix. */
export function invalidRequest(where: string, error: Pick<z.core.$ZodError, "issues">): StepwellError {
  const prefix = where === "body" ? [] : [where === "param" ? "path" : where];
  const found = error.issues.slice(0, ISSUES_MAX).flatMap((issue) => toIssues(prefix, issue));
  const issues = found.slice(0, ISSUES_MAX);
  const [first] = issues;
  const more = error.issues.length > 1 ? ` (and ${error.issues.length - 1} more)` : "";
  return new StepwellError(
    "invalid_request",
    `Cannot take this request: ${first?.path || "the body"}: ${first?.message}${more}`,
    issues,
  );
}

function toIssues(prefix: readonly string[], issue: z.core.$ZodIssue): Issue[] {
  const names = [...prefix, ...issue.path.map(String)];
  const path = names.join(".");
  if (issue.code === "unrecognized_keys") {
    const keys = issue.keys.slice(0, ISSUES_MAX).map((key) => JSON.stringify(key)).join(", ");
    const more = issue.keys.length - ISSUES_MAX;
    return [{ path, message: `Must not hold ${keys}${more > 0 ? ` and ${more} more` : ""}` }];
  }
  if (issue.code === "invalid_union") return unionIssues(names, issue) ?? [{ path, message: issue.message }];
  return [{ path, message: issue.message }];
}

/** The issues of the form that was meant: the union's only form with the value's type, if there is one. */
function unionIssues(
  names: readonly string[],
  { errors }: z.core.$ZodIssueInvalidUnion,
): Issue[] | undefined {
  const isOther = (form: readonly z.core.$ZodIssue[]) =>
    form.some(({ code, path }) => code === "invalid_type" && path.length === 0);
  const meant = errors.filter((form) => !isOther(form));
  return meant.length === 1 ? meant[0]?.flatMap((issue) => toIssues(names, issue)) : undefined;
}
