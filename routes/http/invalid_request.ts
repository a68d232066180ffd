/**
 * zod's findings → one refusal with an issue for each. Not a validator.
 */
import type { z } from "@hono/zod-openapi";
import { type Issue, StepwellError } from "../../src/errors.ts";

/** More would not help anybody and could be made as many as a body has bytes. */
const ISSUES_MAX = 20;

/** `where` is the part of the request: param, query or body. Paths in a body go without a prefix. */
export function invalidRequest(where: string, error: z.core.$ZodError): StepwellError {
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
    return [{ path, message: `Must not hold ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}` }];
  }
  if (issue.code === "invalid_union") return unionIssues(names, issue) ?? [{ path, message: issue.message }];
  return [{ path, message: issue.message }];
}

/** Of the forms that a value may have, the one that it was to be: the only one whose type it has. */
function unionIssues(
  names: readonly string[],
  { errors }: z.core.$ZodIssueInvalidUnion,
): Issue[] | undefined {
  const isOther = (form: readonly z.core.$ZodIssue[]) =>
    form.some(({ code, path }) => code === "invalid_type" && path.length === 0);
  const meant = errors.filter((form) => !isOther(form));
  return meant.length === 1 ? meant[0]?.flatMap((issue) => toIssues(names, issue)) : undefined;
}
