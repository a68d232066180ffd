/** Answers with short JSON. */
import type { AppContext } from "./context.ts";
import { JSON_TYPE } from "./negotiate.ts";
import { etagOf } from "./preconditions.ts";

export interface AnswerOptions {
  readonly status?: 200 | 201 | 202;
  /** The run that the answer describes. Its version is the entity tag. */
  readonly run?: { readonly version: number };
}

const encoder = new TextEncoder();

export function answerJson(
  c: AppContext,
  value: unknown,
  { status = 200, run }: AnswerOptions = {},
): Response {
  if (run) c.header("ETag", etagOf(run));
  return answerJsonText(c, encoder.encode(JSON.stringify(value)), status);
}

/** Answers with JSON that is already encoded. */
export function answerJsonText(
  c: AppContext,
  bytes: Uint8Array<ArrayBuffer>,
  status: AnswerOptions["status"] = 200,
): Response {
  c.header("Content-Type", JSON_TYPE);
  c.header("Content-Length", String(bytes.length));
  return c.req.method === "HEAD" ? c.body(null, status) : c.body(bytes, status);
}
