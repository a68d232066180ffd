/**
 * RFC 9110 preconditions on a run's version. The entity tag of every representation of a run is `"v<version>"`.
 * It is not a cache: it stores no version.
 */
import { StepwellError } from "../../src/errors.ts";
import type { AppContext } from "./context.ts";

interface EntityTags {
  readonly any: boolean;
  readonly strong: readonly string[];
  /** The opaque parts of all tags, including weak ones. */
  readonly opaque: readonly string[];
}

export function etagOf(run: { readonly version: number }): string {
  return `"v${run.version}"`;
}

/**
 * Reads `If-Match` and `If-None-Match` of a request that changes state. Returns a check to make right before the
 * change: it throws version_mismatch if the run (undefined: it does not exist yet) is not at a required version.
 * `If-Match` compares strongly, so weak tags never match. Throws malformed_header at once.
 */
export function preconditions(c: AppContext): (run: { readonly version: number } | undefined) => void {
  const match = entityTags(c, "If-Match");
  const noneMatch = entityTags(c, "If-None-Match");
  return (run) => {
    const etag = run === undefined ? undefined : etagOf(run);
    if (match !== undefined && !(etag !== undefined && (match.any || match.strong.includes(etag)))) {
      const now = etag === undefined ? "there is no such run" : `the run is at ${etag}`;
      const weak = match.opaque.length > match.strong.length
        ? "; a weak tag (W/) in If-Match matches no version (RFC 9110, 13.1.1): send it without W/"
        : "";
      throw new StepwellError(
        "version_mismatch",
        `Cannot change the run: ${now}, must be at ${
          match.any ? "any version" : match.strong.join(" or ") || "a version with a strong tag"
        }${weak}`,
        [{ path: "header.If-Match", message: `Must hold ${etag ?? "nothing: there is no such run"}` }],
      );
    }
    if (noneMatch !== undefined && etag !== undefined && (noneMatch.any || noneMatch.opaque.includes(etag))) {
      throw new StepwellError(
        "version_mismatch",
        `Cannot change the run: it is at ${etag}, must be at another version`,
        [
          { path: "header.If-None-Match", message: `Must not match ${etag}` },
        ],
      );
    }
  };
}

/** Whether the caller of a GET has this version already (weak comparison), so that the answer is 304. */
export function isFresh(c: AppContext, { version }: { readonly version: number }): boolean {
  return knownVersions(c)(version);
}

/** Like {@link isFresh}, for a version that is known later. Throws malformed_header at once. */
export function knownVersions(c: AppContext): (version: number) => boolean {
  const isKnown = knownTags(c);
  return (version) => isKnown(etagOf({ version }));
}

/** Like {@link knownVersions}, for any entity tag. */
export function knownTags(c: AppContext): (etag: string) => boolean {
  const tags = entityTags(c, "If-None-Match");
  return (etag) => tags !== undefined && (tags.any || tags.opaque.includes(etag));
}

const TAG = /\s*(W\/)?("[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)/y;

function entityTags(c: AppContext, header: "If-Match" | "If-None-Match"): EntityTags | undefined {
  const text = c.req.header(header);
  if (text === undefined) return undefined;
  if (text.trim() === "*") return { any: true, strong: [], opaque: [] };
  const strong: string[] = [];
  const opaque: string[] = [];
  TAG.lastIndex = 0;
  while (TAG.lastIndex < text.length) {
    const tag = TAG.exec(text);
    if (tag === null) throw malformed(header);
    opaque.push(tag[2] ?? "");
    if (tag[1] === undefined) strong.push(tag[2] ?? "");
  }
  if (opaque.length === 0) throw malformed(header);
  return { any: false, strong, opaque };
}

function malformed(header: string): StepwellError {
  return new StepwellError("malformed_header", `Cannot read ${header}: must be * or a list of entity tags`, [
    { path: `header.${header}`, message: 'Must be * or a list of entity tags like "v3"' },
  ]);
}
