/**
 * Content negotiation: the representation that a caller wants (`Accept`). It reads headers only.
 */
import { StepwellError } from "../../src/errors.ts";
import type { AppContext } from "./context.ts";
import { listParts } from "./header_list.ts";

export const JSON_TYPE = "application/json";
export const SAFETENSORS_TYPE = "application/vnd.safetensors";
export const BYTES_TYPE = "application/octet-stream";

/** In the service's order of preference, for callers without one. */
const OFFERS = [JSON_TYPE, SAFETENSORS_TYPE, BYTES_TYPE] as const;
export type TensorType = (typeof OFFERS)[number];

/** Whether a type carries safetensors. */
export function isSafetensors(type: TensorType): boolean {
  return type !== JSON_TYPE;
}

/**
 * The best type for the caller: highest quality first, then the order above. The quality of a type is that of the
 * most specific range that matches it (RFC 9110, 12.5.1). Throws not_acceptable, malformed_header.
 */
export function negotiate(c: AppContext): TensorType {
  // Set it first: a 304 and a refusal depend on Accept too.
  c.header("Vary", "Accept");
  const header = c.req.header("Accept");
  if (header === undefined || header.trim() === "") return JSON_TYPE;
  const ranges = [...listParts(header, ",")].filter((range) => range.trim() !== "").map(parseRange);
  let best: TensorType | undefined;
  let bestQuality = 0;
  for (const offer of OFFERS) {
    const quality = qualityOf(offer, ranges);
    if (quality > bestQuality) [best, bestQuality] = [offer, quality];
  }
  if (best !== undefined) return best;
  throw new StepwellError("not_acceptable", `Cannot answer as ${header}: must allow ${OFFERS.join(" or ")}`, [
    { path: "header.Accept", message: `Must allow ${OFFERS.join(" or ")}` },
  ]);
}

interface MediaRange {
  readonly range: string;
  readonly quality: number;
}

const TOKEN = "[!#$%&'+.^_`|~0-9a-z-]+";
const RANGE = new RegExp(`^(\\*/\\*|${TOKEN}/(\\*|${TOKEN}))$`);
/** Wider than RFC 9110, as clients write it: `.2`, and more than three digits. */
const QUALITY = /^(0?\.\d+|0\.?|1(\.0*)?)$/;

function parseRange(text: string): MediaRange {
  const [given = "", ...parameters] = [...listParts(text, ";")].map((part) => part.trim().toLowerCase());
  // The HTTP client of Java 8 and 11 sends a bare asterisk.
  const range = given === "*" ? "*/*" : given;
  const quality = parameters.find((parameter) => /^q\s*=/.test(parameter))?.replace(/^q\s*=\s*/, "") ?? "1";
  if (!RANGE.test(range) || !QUALITY.test(quality)) {
    throw new StepwellError("malformed_header", `Cannot read Accept: "${text.trim()}" is not a media range`, [
      { path: "header.Accept", message: "Must be a list of media ranges with qualities from 0 to 1" },
    ]);
  }
  return { range, quality: Number(quality) };
}

function qualityOf(type: TensorType, ranges: readonly MediaRange[]): number {
  const found = [type, "application/*", "*/*"].map((wanted) => ranges.find(({ range }) => range === wanted));
  return found.find((range) => range !== undefined)?.quality ?? 0;
}
