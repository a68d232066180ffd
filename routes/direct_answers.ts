/**
 * What operations share that are answered without the app (lane/direct.ts): which heads are plain, who calls, and what
 * every answer of the app carries.
 *
 * Invariant: whatever would be refused is left to the app, before anything has changed.
 */
import { Context } from "hono";
import { accessRecord } from "./http/access_record.ts";
import type { AppEnv, Services } from "./http/context.ts";
import { isOwnHost } from "./http/hosts.ts";
import { answerProblem } from "./http/problem.ts";
import { ANYBODY, type Caller } from "./http/tokens.ts";
import type { DirectAnswer } from "./lane/direct.ts";
import type { Framing } from "./lane/framing.ts";
import type { Head } from "./lane/head.ts";

const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/;

/** Headers that change nothing about any operation, or are looked at here. */
const PLAIN = [
  "host",
  "user-agent",
  "accept",
  "accept-encoding",
  "accept-language",
  "connection",
  "content-length",
  "authorization",
];

/** Of every answer of the app. test/routes/lane/direct_test.ts compares. */
const SECURE_FIELDS = [
  ["content-security-policy", "default-src 'none'; frame-ancestors 'none'"],
  ["cross-origin-resource-policy", "same-origin"],
  ["referrer-policy", "no-referrer"],
  ["x-content-type-options", "nosniff"],
  ["x-frame-options", "DENY"],
] as const;
const SECURE_LINES = SECURE_FIELDS.map(([name, value]) => `${name}: ${value}\r\n`).join("");

/** One request that is being answered. */
export interface DirectRequest {
  readonly id: string;
  readonly caller: Caller;
  /** The other end of the connection: a request that tells another one is not plain. */
  readonly address: string;
  readonly method: string;
  /** The pattern of the path. */
  readonly route: string;
  /** When it began, in milliseconds. */
  readonly start: number;
  readonly bytesIn: number;
}

export class DirectAnswers {
  readonly #services: Services;
  readonly #newId: () => string;
  readonly #record: ReturnType<typeof accessRecord>;

  constructor(services: Services, newId: () => string) {
    this.#services = services;
    this.#newId = newId;
    this.#record = accessRecord(services);
  }

  /** Headers by name; undefined if one is not among the plain ones and `more`, or the request is for another host. */
  fieldsOf(
    { fields, minor }: Head,
    { authority = "", isAwaiting }: Framing,
    more: readonly string[],
  ): ReadonlyMap<string, string> | undefined {
    const { settings, ownPort } = this.#services;
    if (minor !== 1 || isAwaiting || !isOwnHost(authority, settings, ownPort())) return undefined;
    const found = new Map<string, string>();
    for (const [name, value] of fields) {
      if (found.has(name) || !(PLAIN.includes(name) || more.includes(name))) return undefined;
      found.set(name, value);
    }
    return found;
  }

  /** Who sends a request with these headers about this run; undefined if the app would refuse it. */
  callerOf(fields: ReadonlyMap<string, string>, id: string): Caller | undefined {
    const { tokens } = this.#services;
    if (!tokens.areAsked) return ANYBODY;
    const token = BEARER.exec(fields.get("authorization") ?? "")?.[1];
    const caller = token === undefined ? undefined : tokens.find(token);
    return caller?.runs.matches(id) ? caller : undefined;
  }

  /** An answer with these headers, as lines, and those of every answer. */
  answer(request: DirectRequest, status: number, lines: string, body: Uint8Array): DirectAnswer {
    const requestId = this.#newId();
    this.#note(requestId, request, { status, bytesOut: body.length });
    return { status, fields: `${lines}${SECURE_LINES}x-request-id: ${requestId}\r\n`, body };
  }

  /** The answer when something went wrong after which the app cannot begin anew. */
  refuse(request: DirectRequest, error: unknown): Response {
    const requestId = this.#newId();
    const c = new Context<AppEnv>(new Request("http://localhost/"), { env: {} });
    c.set("requestId", requestId);
    const response = answerProblem(c, error, this.#services.log);
    for (const [name, value] of SECURE_FIELDS) response.headers.set(name, value);
    response.headers.set("x-request-id", requestId);
    this.#note(requestId, request, { status: response.status, bytesOut: 0, code: c.get("code") });
    return response;
  }

  #note(
    requestId: string,
    { id, caller, start, ...request }: DirectRequest,
    more: { readonly status: number; readonly bytesOut: number; readonly code?: string | undefined },
  ): void {
    const ms = this.#services.now() - start;
    this.#record({ ...request, ...more, requestId, token: caller.name, run: id, ms });
  }
}
