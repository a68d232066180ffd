/** Checks answers against the documented schemas. */
import assert from "node:assert/strict";
import type { z } from "@hono/zod-openapi";
import { type Service, startRun, startService } from "./harness.ts";

interface Documented {
  readonly route: { readonly responses: Record<string, unknown> };
}

/** The JSON answer, checked against the operation's schema for the status. */
export async function answer({ route }: Documented, response: Response, status = 200) {
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.equal(response.headers.get("Content-Type"), "application/json");
  assert.equal(response.headers.get("Content-Length"), String(new TextEncoder().encode(text).length));
  const documented = route.responses[status] as { content: { "application/json": { schema: z.ZodType } } };
  const value = JSON.parse(text);
  documented.content["application/json"].schema.parse(value);
  return value;
}

export async function withRun(): Promise<Service> {
  const service = startService();
  await startRun(service);
  return service;
}

export const RUN = "/v1/runs/demo";
