/**
 * The vocabulary in which the operations' files describe themselves: parameters, bodies, answers and refusals.
 * The documentation of refusals comes from the catalogue by code. An operation lists its own codes only.
 */
import { createRoute as routeOf, type RouteConfig, type RouteHandler, z } from "@hono/zod-openapi";
import { type ErrorCode, ERRORS } from "../../src/errors.ts";
import { scopeNeeded } from "../http/access.ts";
import type { App, AppEnv } from "../http/context.ts";
import { RunId } from "../http/ids.ts";
import type { Scope } from "../http/token_file.ts";
import { headers, withHeaders } from "../http/headers.ts";
import { BYTES_TYPE, JSON_TYPE, SAFETENSORS_TYPE } from "../http/negotiate.ts";
import { isRetriable, PROBLEM_TYPE, problemType } from "../http/problem.ts";
import { ProblemSchema } from "../http/problem_schema.ts";

export { z };

/** Loose on purpose: tensor bodies are written by hand, and tests check all answers against their schemas. */
type Responses = Parameters<typeof routeOf>[0]["responses"];
type ResponseConfig = Responses[number];
type BodyConfig = NonNullable<NonNullable<Parameters<typeof routeOf>[0]["request"]>["body"]>;

/** What a route says of its callers: the scope that their token needs, none if they need no token. */
interface Access {
  readonly "x-required-scope": Scope | "none";
}

/** The access of an operation that needs no token. */
export const OPEN = { "x-required-scope": "none" as const, security: [] };

/** An operation as data. */
export function createRoute<P extends string, R extends Omit<RouteConfig, "path"> & Access & { path: P }>(
  route: R,
) {
  return routeOf<P, R>(route);
}

export const RunParams = z.strictObject({ run: RunId });
/** Operations without query parameters refuse any. */
export const NoQuery = z.strictObject({});

/** A query parameter that is `true` or `false`, spelled as in JSON. */
export function flag(description: string, initial: boolean) {
  return z.stringbool({ truthy: ["true"], falsy: ["false"], case: "sensitive" }).default(initial)
    .openapi({ type: "boolean", default: initial, description, example: !initial });
}

/** The query parameter for the length of a list. */
export function limit(description: string, initial: number) {
  return z.string().regex(/^\d{1,4}$/, "Must be a whole number").default(String(initial)).transform(Number)
    .pipe(z.int().min(1).max(1000))
    .openapi({ type: "integer", minimum: 1, maximum: 1000, default: initial, description, example: initial });
}

/** Refusals of every operation. */
const COMMON: readonly ErrorCode[] = [
  "invalid_request",
  "origin_not_allowed",
  "misdirected_request",
  "internal",
];
/** Refusals of every operation that reads a body. */
export const BODY_ERRORS: readonly ErrorCode[] = [
  "malformed_json",
  "malformed_encoding",
  "incomplete_body",
  "body_timeout",
  "body_too_large",
  "unsupported_media_type",
  "busy",
  "shutting_down",
];
/** Refusals of every operation that reads tensors. */
export const TENSOR_BODY_ERRORS: readonly ErrorCode[] = [
  ...BODY_ERRORS,
  "malformed_safetensors",
  "unknown_variable",
  "shape_mismatch",
  "dtype_mismatch",
  "invalid_number",
];

/** The responses of an operation: its successes, and a problem for each status of its error codes. */
export function answers(successes: Responses, codes: readonly ErrorCode[]): Responses {
  return openAnswers(successes, [
    "malformed_header",
    "unauthorized",
    "forbidden",
    "too_many_requests",
    ...codes,
  ]);
}

/** The responses of an operation that needs no token. */
export function openAnswers(successes: Responses, codes: readonly ErrorCode[]): Responses {
  const byStatus = Map.groupBy(new Set([...COMMON, ...codes]), (code) => ERRORS[code].status);
  const problems = [...byStatus].sort(([a], [b]) => a - b).map(([status, group]) => [status, problem(group)]);
  return { ...successes, ...Object.fromEntries(problems) };
}

function problem(codes: readonly ErrorCode[]): ResponseConfig {
  const { status } = ERRORS[codes[0] as ErrorCode];
  return {
    description: codes.map((code) => `\`${code}\`: ${ERRORS[code].meaning}`).join(" "),
    headers: {
      ...ANSWER_HEADERS,
      ...headers("Cache-Control"),
      ...(isRetriable(status) ? headers("Retry-After") : {}),
      ...(codes.some((code) => CHALLENGED.has(code)) ? headers("WWW-Authenticate") : {}),
      ...(codes.includes("too_many_requests") ? headers("RateLimit-Policy", "RateLimit") : {}),
    },
    content: {
      [PROBLEM_TYPE]: {
        schema: ProblemSchema,
        examples: Object.fromEntries(codes.map((code) => [code, { value: exampleProblem(code) }])),
      },
    },
  };
}

/** Refusals that say what the token must be. */
const CHALLENGED: ReadonlySet<ErrorCode> = new Set(["malformed_header", "unauthorized", "forbidden"]);

function exampleProblem(code: ErrorCode) {
  const { status, title, meaning } = ERRORS[code];
  const request_id = "2b1ff0c6-5d9e-4c3a-9a53-0e0f6f0a8f11";
  return { type: problemType(code), title, status, detail: meaning, code, request_id, issues: [] };
}

export const ANSWER_HEADERS = headers("X-Request-Id");
export const STATE_HEADERS = headers("X-Request-Id", "ETag");
export const CREATED_HEADERS = headers("X-Request-Id", "ETag", "Location");

/** A success in JSON. */
export function json(description: string, schema: z.ZodType, headers = ANSWER_HEADERS): ResponseConfig {
  return { description, headers, content: { [JSON_TYPE]: { schema } } };
}

/** A form that every generator understands. */
const FILE = { type: "string", format: "binary" } as const;
const SAFETENSORS_CONTENT = { [SAFETENSORS_TYPE]: { schema: FILE }, [BYTES_TYPE]: { schema: FILE } };

/** A success that is a safetensors file. */
export function file(description: string): ResponseConfig {
  return { description, headers: STATE_HEADERS, content: { [SAFETENSORS_TYPE]: { schema: FILE } } };
}

/** A success in JSON or safetensors, as `Accept` says. */
export function tensors(description: string, schema: z.ZodType): ResponseConfig {
  return {
    description,
    headers: STATE_HEADERS,
    content: { [JSON_TYPE]: { schema }, ...SAFETENSORS_CONTENT },
  };
}

/** A body in JSON. */
export function jsonBody(schema: z.ZodType, description: string): BodyConfig {
  return { required: true, description, content: { [JSON_TYPE]: { schema } } };
}

/** A body that is a safetensors file. */
export function fileBody(description: string): BodyConfig {
  return { required: true, description, content: SAFETENSORS_CONTENT };
}

/** A body in JSON or safetensors. */
export function tensorBody(schema: z.ZodType, description: string): BodyConfig {
  return { required: true, description, content: { [JSON_TYPE]: { schema }, ...SAFETENSORS_CONTENT } };
}

/**
 * Adds an operation to the app. It is documented in full, but only path and query are validated here, and before them
 * the caller's scope. Handlers read and validate bodies, because hono would buffer them without bounds and before the
 * upload has a place.
 */
export function mount<R extends RouteConfig & Access>(
  app: App,
  route: R,
  handler: RouteHandler<R, AppEnv>,
): void {
  const { body: _body, ...request } = route.request ?? {};
  const scope = route["x-required-scope"];
  const middleware = scope === "none" ? [] : [scopeNeeded(scope)];
  app.openAPIRegistry.registerPath(withHeaders(route));
  app.openapi({ ...route, request, middleware, hide: true } as unknown as R, handler as never);
}

export function requestHeader(name: string, description: string, example: string) {
  return { in: "header", name, required: false, description, schema: { type: "string" }, example } as const;
}

export const IF_MATCH = requestHeader(
  "If-Match",
  "Refuse with 412 unless the run is at this version.",
  '"v3"',
);
export const IF_NONE_MATCH = requestHeader(
  "If-None-Match",
  "Answer 304 when the run is at this version.",
  '"v3"',
);
export const PREFER = requestHeader(
  "Prefer",
  "`return=representation`: the answer carries the new values.",
  "return=representation",
);
export const PREFER_WAIT = requestHeader(
  "Prefer",
  "`wait=SECONDS`: the answer waits for what is not there yet, at most as long as the settings allow.",
  "wait=30",
);
export const IDEMPOTENCY_KEY = requestHeader(
  "Idempotency-Key",
  "The same key with the same request gets the first answer again and changes nothing; with another request, 422.",
  "8e03978e-40d5-43dd-bc93-6894a57f9324",
);
export const NOT_MODIFIED: ResponseConfig = {
  description: "The run is still at the version of `If-None-Match`.",
  headers: STATE_HEADERS,
};
