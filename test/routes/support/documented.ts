/**
 * Checks every answer in the tests of routes against the OpenAPI document: its status, media type and headers.
 * contract.ts checks bodies.
 */
import assert from "node:assert/strict";
import type { App } from "../../../routes/http/context.ts";
import { openapi31 } from "../../../routes/contract/openapi.ts";

interface Answer {
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, unknown>>;
}
type Operations = Readonly<Record<string, { readonly responses: Readonly<Record<string, Answer>> }>>;

/** Headers that the document describes once for all answers, or that HTTP defines. */
const EVERYWHERE = new Set([
  "content-length",
  "content-type",
  "content-security-policy",
  "cross-origin-resource-policy",
  "referrer-policy",
  "x-content-type-options",
  "x-frame-options",
  "access-control-allow-origin",
  "access-control-expose-headers",
  "ratelimit",
  "ratelimit-policy",
]);

interface Document {
  readonly paths: Readonly<Record<string, Operations>>;
  readonly components: { readonly headers: Readonly<Record<string, { readonly required: boolean }>> };
}

/** One document for all apps: their services differ, their routes do not. */
let document: Document | undefined;

const isAt = (pattern: string, path: string) =>
  new RegExp(`^${pattern.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path);

/** Fails for an answer that the document lacks. Ignores answers that do not come from an operation. */
export function assertDocumented(
  app: App,
  method: string,
  path: string,
  { status, headers }: Response,
): void {
  const [pathname = ""] = path.split("?");
  const { paths, components } = document ??= openapi31(app) as unknown as Document;
  const [, operations] = Object.entries(paths).find(([pattern]) => isAt(pattern, pathname)) ?? [];
  const operation = operations?.[(method === "HEAD" ? "GET" : method).toLowerCase()];
  if (operation === undefined) return;
  const where = `${method} ${pathname} → ${status}`;
  const answer = operation.responses[status];
  assert.ok(answer !== undefined, `${where} is not documented`);
  const known = new Map(
    Object.keys(answer.headers ?? {}).map((name) => [name.toLowerCase(), components.headers[name]]),
  );
  const isEverywhere = (name: string) =>
    EVERYWHERE.has(name) || (name === "vary" && headers.get(name) === "Origin");
  const unknown = [...headers.keys()].filter((name) => !isEverywhere(name) && !known.has(name));
  assert.deepEqual(unknown, [], `${where} has headers that are not documented`);
  const missing = [...known].filter(([name, header]) => header?.required && !headers.has(name));
  assert.deepEqual(missing, [], `${where} lacks headers that are documented`);
  const type = headers.get("Content-Type")?.split(";")[0];
  const types = Object.keys(answer.content ?? {});
  assert.ok(type === undefined || types.includes(type), `${where} is ${type}, must be ${types.join(" or ")}`);
  // The length of the replaced answer is not that of the refusal.
  assert.ok(status < 400 || !headers.has("Content-Length"), `${where} has a Content-Length`);
}
