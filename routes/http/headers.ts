/**
 * The documentation of response headers: one table, and the headers of each operation's answers. It sends nothing.
 *
 * Invariant: every header that an operation sends is documented here or in its own file.
 * test/routes/support/documented.ts checks every answer against the document.
 */
import type { RouteConfig } from "@hono/zod-openapi";

interface Header {
  readonly description: string;
  readonly example: string;
  /** Whether every answer that documents it carries it. */
  readonly isAlways?: true;
}

const HEADERS = {
  "X-Request-Id": {
    description: "Names this request in the log.",
    example: "2b1ff0c6-5d9e-4c3a-9a53-0e0f6f0a8f11",
    isAlways: true,
  },
  ETag: { description: "The version of what this answer tells of.", example: '"v3"', isAlways: true },
  Location: { description: "Where it is.", example: "/v1/runs/demo", isAlways: true },
  "Retry-After": {
    description: "Seconds to wait before the next attempt.",
    example: "1",
    isAlways: true,
  },
  "RateLimit-Policy": {
    description: "With STEPWELL_REQUESTS_PER_SECOND: how many requests may come in how many seconds.",
    example: '"requests";q=200;w=10',
  },
  RateLimit: {
    description: "With STEPWELL_REQUESTS_PER_SECOND: how many more may come now, and when one more may.",
    example: '"requests";r=0;t=1',
  },
  "WWW-Authenticate": {
    description: "What the token must look like, or be allowed.",
    example: 'Bearer realm=""',
  },
  "Cache-Control": {
    description: "That nobody keeps this answer for later.",
    example: "no-store",
    isAlways: true,
  },
  "X-Accel-Buffering": {
    description: "That a proxy passes on what comes at once.",
    example: "no",
    isAlways: true,
  },
  Vary: { description: "Which headers of the request decided on the form of the answer.", example: "Accept" },
  "Preference-Applied": {
    description: "Which preferences of `Prefer` were followed; `wait` with the seconds that were granted.",
    example: "wait=30, return=representation",
  },
  "Idempotency-Replayed": {
    description: "`true`: the same request was answered before, and this one has changed nothing.",
    example: "true",
  },
} as const satisfies Record<string, Header>;

type HeaderName = keyof typeof HEADERS;

/** What a page of another origin may read of an answer. */
export const HEADER_NAMES: readonly string[] = Object.keys(HEADERS);

/** References to headers, for the responses of an operation. */
export function headers(...names: readonly HeaderName[]) {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** The table as components of the OpenAPI document. */
export const HEADER_COMPONENTS = Object.entries<Header>(HEADERS).map((
  [name, { description, example, isAlways = false }],
) => [name, { description, required: isAlways, schema: { type: "string", example } }] as const);

/** Adds the response headers that follow from a route's parameters: they are the same for all operations. */
export function withHeaders<R extends RouteConfig>(route: R): R {
  const takes = new Set(route["parameters"]?.map((each) => "name" in each ? each.name : ""));
  const responses = Object.entries(route.responses).map(([status, response]) => {
    const names: HeaderName[] = [];
    if ("406" in route.responses) names.push("Vary");
    if (Number(status) < 400 && takes.has("Prefer")) names.push("Preference-Applied");
    if (Number(status) < 300 && takes.has("Idempotency-Key")) names.push("Idempotency-Replayed");
    return [status, {
      ...response,
      headers: { ..."headers" in response && response.headers, ...headers(...names) },
    }];
  });
  return { ...route, responses: Object.fromEntries(responses) };
}
