/**
 * Bounds the size of a refusal: what a body holds comes back in messages and paths, and could be as long as the body.
 */
import type { Issue } from "../../src/errors.ts";

/** The most issues of a refusal. */
export const ISSUES_MAX = 100;
/** Together below the 64 KiB of a refusal, with room for its other fields. */
const ISSUES_BYTES_MAX = 44 << 10;
const DETAIL_BYTES_MAX = 16 << 10;
const TEXT_BYTES_MAX = 8 << 10;
const ELLIPSIS = "…";

/** The text, cut so that it takes at most this many bytes as JSON. */
function cut(text: string, bytesMax: number): string {
  // A UTF-16 unit takes at most 6 bytes in JSON.
  if (6 * text.length <= bytesMax || jsonBytes(text) <= bytesMax) return text;
  let length = Math.min(text.length, bytesMax);
  while (jsonBytes(text.slice(0, length)) > bytesMax - 8) length = Math.floor(length * 0.75);
  return text.slice(0, length).toWellFormed() + ELLIPSIS;
}

export function boundedDetail(detail: string): string {
  return cut(detail, DETAIL_BYTES_MAX);
}

/** The first issues that fit, each with its texts cut. */
export function boundedIssues(issues: readonly Issue[]): readonly Issue[] {
  const bounded: Issue[] = [];
  let bytes = 0;
  for (const { path, message } of issues.slice(0, ISSUES_MAX)) {
    const issue = { path: cut(path, TEXT_BYTES_MAX), message: cut(message, TEXT_BYTES_MAX) };
    bytes += jsonBytes(issue);
    if (bytes > ISSUES_BYTES_MAX) break;
    bounded.push(issue);
  }
  return bounded;
}

function jsonBytes(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}
