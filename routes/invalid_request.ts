/**
 * zod's findings → one refusal with an issue for each. Not a validator.
 */
import type { z } from "@hono/zod-openapi";
import { type Issue, StepwellError } from "../src/errors.ts";

/** More would not help anybody and could be made as many as a body has bytes. */
const ISSUES_MAX = 20;

/** `where` is the part of the request: param, query or body. Paths in a body go without a prefix. */
export function invalidRequest(where: string, error: z.core.$ZodError): StepwellError {
  const prefix = where === "body" ? [] : [where === "param" ? "path" : where];
  const issues = error.issues.slice(0, ISSUES_MAX).map((issue) => toIssue(prefix, issue));
  const [first] = issues;
  const more = error.issues.length > 1 ? ` (and ${error.issues.length - 1} more)` : "";
  return new StepwellError(
    "invalid_request",
    `Cannot take this request: ${first?.path || "the body"}: ${first?.message}${more}`,
    issues,
  );
}

function toIssue(prefix: readonly string[], issue: z.core.$ZodIssue): Issue {
  const path = [...prefix, ...issue.path.map(String)].join(".");
  if (issue.code === "unrecognized_keys") {
    return { path, message: `Must not hold ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}` };
  }
  return { path, message: issue.message };
}
