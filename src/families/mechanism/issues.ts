/**
 * Turns zod issues into the form "is -1, must be >= 0", and several issues into one error. Knows no family and no
 * member.
 */
import type { z } from "zod";
import { type ErrorCode, type Issue, StepwellError } from "../../errors.ts";

/** Joins keys to a path with dots. Empty keys are left out. */
export function join(...keys: PropertyKey[]): string {
  return keys.map(String).filter((key) => key !== "").join(".");
}

/**
 * One error for all `issues`: the message has the first issue and their number. `path` is the prefix of their paths;
 * at most `issuesMax` of them are listed.
 */
export function refusalOfAll(
  code: ErrorCode,
  action: string,
  issues: readonly Issue[],
  { path, issuesMax = Infinity }: { path: string; issuesMax?: number },
): StepwellError {
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  const reason = [first?.path, first?.message].filter(Boolean).join(" ");
  return new StepwellError(
    code,
    `Cannot ${action}: ${reason}${more}`,
    issues.slice(0, issuesMax).map((issue) => ({
      path: join(path, issue.path),
      message: issue.message,
    })),
  );
}

/** More unknown keys would not help to find the mistake. */
const KEYS_MAX = 100;

/**
 * Describes `issue` about `input`: the keys that lead to the place, and a message. One issue about n unknown keys
 * becomes n, up to {@link KEYS_MAX}. `allowed` are the keys that `holder` takes; `inside` gives those that a value inside it takes.
 */
export function tell(
  issue: z.core.$ZodIssue,
  input: unknown,
  { holder, allowed, inside }: {
    holder: string;
    allowed: readonly string[];
    inside?: (path: readonly PropertyKey[]) => readonly string[];
  },
): { keys: PropertyKey[]; message: string }[] {
  if (issue.code === "unrecognized_keys") {
    const takes = inside?.(issue.path).join(", ");
    const where = issue.path.length > 0
      ? ` in ${issue.path.map(String).join(".")}${takes ? `, which takes ${takes}` : ""}`
      : `; ${holder} takes ${allowed.join(", ")}`;
    return issue.keys.slice(0, KEYS_MAX).map((key) => ({
      keys: [...issue.path, key],
      message: `is an unknown key${where}`,
    }));
  }
  const value = issue.path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key],
    input,
  );
  return [{ keys: [...issue.path], message: `is ${show(value)}, ${wanted(issue)}` }];
}

/** The unit of a bound on a length. */
const LENGTHS: Readonly<Record<string, string>> = { array: " long", string: " characters long" };

function wanted(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "too_small":
      return `must be ${issue.inclusive ? ">=" : ">"} ${issue.minimum}${LENGTHS[issue.origin] ?? ""}`;
    case "too_big":
      return `must be ${issue.inclusive ? "<=" : "<"} ${issue.maximum}${LENGTHS[issue.origin] ?? ""}`;
    case "invalid_type":
      // Only the messages of our own schemas have our form; zod's do not.
      return issue.message.startsWith("must ") ? issue.message : `must be of type ${issue.expected}`;
    case "invalid_value":
      return `must be one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
    case "invalid_union":
      return issue.message.startsWith("must ") ? issue.message : alternatives(issue.errors);
    default:
      return issue.message;
  }
}

/** What several schemas accept: each is described by its first issue. */
function alternatives(branches: readonly (readonly z.core.$ZodIssue[])[]): string {
  const words = branches.flatMap(([issue]) => {
    if (!issue) return [];
    const at = join(...issue.path), what = wanted(issue);
    return [at === "" ? what.replace(/^must be /, "") : `one whose ${at} ${what}`];
  });
  return `must be ${[...new Set(words)].join(" or ")}`;
}

/** A value as it was in the request, shortened. */
function show(value: unknown): string {
  if (value === undefined) return "missing";
  const text = typeof value === "number" ? String(value) : JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
