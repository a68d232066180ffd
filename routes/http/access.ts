/**
 * Who may do what. A request is let in by its token; the operation's scope, which its route states, and the run of its
 * path are checked before anything else of the request is looked at.
 *
 * Invariants: an operation without a known caller answers nobody. Whether there is a run decides nothing here, so that
 * a token without it cannot find out.
 */
import type { MiddlewareHandler } from "hono";
import { bearerAuth } from "hono/bearer-auth";
import { StepwellError } from "../../src/errors.ts";
import { clientOf } from "./client.ts";
import type { AppContext, AppEnv, Services } from "./context.ts";
import { RateLimit } from "./rate_limit.ts";
import { type Scope, SCOPES } from "./token_file.ts";
import { ANYBODY, type Caller } from "./tokens.ts";

/** Health checks and documentation need no token. */
const OPEN_PATHS = /^\/(healthz|readyz|openapi\.json|docs(\/.*)?)$/;
/** What asks whether the process is alive gets an answer, however often. */
const UNLIMITED_PATH = "/healthz";

/**
 * Finds out who calls, counts the request, and refuses those who may not call at all. Wrong tokens count too, so that
 * nobody tries many. Throws too_many_requests, and the refusals of hono's bearerAuth.
 */
export function identified({ settings, tokens, now }: Services): MiddlewareHandler<AppEnv> {
  const perSecond = settings.STEPWELL_REQUESTS_PER_SECOND;
  const limit = perSecond > 0 ? new RateLimit({ perSecond, now }) : undefined;
  const authenticate: MiddlewareHandler<AppEnv> = bearerAuth({
    verifyToken: (token, c: AppContext) => {
      const caller = tokens.find(token);
      c.set("caller", caller);
      return caller !== undefined;
    },
  });
  const pass: MiddlewareHandler<AppEnv> = (c, next) => {
    if (limit && c.req.path !== UNLIMITED_PATH) count(c, limit);
    return next();
  };
  const ask: MiddlewareHandler<AppEnv> = async (c, next) => {
    let refusal: unknown;
    await authenticate(c, () => Promise.resolve()).catch((error: unknown) => refusal = error);
    return await pass(c, () => refusal === undefined ? next() : Promise.reject(refusal));
  };
  return (c, next) => {
    if (!tokens.areAsked) c.set("caller", ANYBODY);
    return tokens.areAsked && !OPEN_PATHS.test(c.req.path) ? ask(c, next) : pass(c, next);
  };
}

/** Those without a token take nothing from those with one at the same address. */
function count(c: AppContext, limit: RateLimit): void {
  const taken = limit.take(`${c.get("caller")?.name ?? ""} ${clientOf(c)}`);
  for (const [name, value] of Object.entries(limit.headers(taken))) c.header(name, value);
  if (taken.isAllowed) return;
  throw new StepwellError(
    "too_many_requests",
    `Cannot take more requests of this client: must be at most ${limit.perSecond} a second on average`,
  );
}

/** The caller of a request that needs one. */
export function callerOf(c: AppContext): Caller {
  const caller = c.get("caller");
  if (!caller) throw new Error(`nobody has asked who calls ${c.req.path}`);
  return caller;
}

/** Lets in those whose token has the scope or a higher one. Throws forbidden. */
export function scopeNeeded(scope: Scope): MiddlewareHandler<AppEnv> {
  return (c, next) => {
    assertScope(c, scope, "do this");
    return next();
  };
}

export function assertScope(c: AppContext, scope: Scope, action: string): void {
  const caller = callerOf(c);
  if (hasScope(caller, scope)) return;
  c.header("WWW-Authenticate", `Bearer error="insufficient_scope", scope="${scope}"`);
  throw forbidden(`Cannot ${action} with ${nameOf(caller)}: its scope is ${caller.scope}, must be ${scope}`);
}

const hasScope = ({ scope }: Caller, wanted: Scope) => SCOPES.indexOf(scope) >= SCOPES.indexOf(wanted);

/** Lets in those whose token has the run of the path. Throws forbidden. */
export const runNeeded: MiddlewareHandler<AppEnv> = (c, next) => {
  assertRun(c, c.req.param("run") ?? "");
  return next();
};

/** Throws forbidden unless the caller's token has the run, which there need not be. */
export function assertRun(c: AppContext, id: string): void {
  const caller = callerOf(c);
  if (caller.runs.matches(id)) return;
  throw forbidden(
    `Cannot use the run ${JSON.stringify(id)} with ${nameOf(caller)}: must be one of its runs, ${
      globsOf(caller)
    }`,
  );
}

/** Throws forbidden unless the caller may have the run, whatever its id will be. */
export function assertAnyRun(c: AppContext): void {
  const caller = callerOf(c);
  if (caller.runs.matchAll) return;
  throw forbidden(
    `Cannot create a run without an id with ${nameOf(caller)}: must have an id that is one of ${
      globsOf(caller)
    }`,
  );
}

/**
 * The client that a contribution is of: the one that the token is bound to, or the one that the request says. Throws
 * forbidden if they differ.
 */
export function contributorOf(c: AppContext, said: string | undefined): string | undefined {
  const caller = callerOf(c);
  const { clientId } = caller;
  if (clientId === undefined || said === undefined || said === clientId) return clientId ?? said;
  const problem = `must be ${JSON.stringify(clientId)} or absent`;
  throw new StepwellError(
    "forbidden",
    `Cannot contribute as the client ${JSON.stringify(said)} with ${nameOf(caller)}: ${problem}`,
    [{ path: "client_id", message: `Must be ${JSON.stringify(clientId)} or absent` }],
  );
}

/** Throws forbidden unless the contribution of this client is the caller's own, or others' are the caller's task. */
export function assertOwn(c: AppContext, clientId: string): void {
  const caller = callerOf(c);
  if (hasScope(caller, "write") || caller.clientId === clientId) return;
  const bound = caller.clientId === undefined ? "no client" : `the client ${JSON.stringify(caller.clientId)}`;
  throw forbidden(
    `Cannot withdraw the contribution of the client ${JSON.stringify(clientId)} with ${
      nameOf(caller)
    }: it is bound ` +
      `to ${bound}, must be bound to this one or have the scope write`,
  );
}

/** The signal that ends what the caller has open once the token is taken back. */
export function revocation(c: AppContext): readonly AbortSignal[] {
  const { revoked } = callerOf(c);
  return revoked ? [revoked] : [];
}

const forbidden = (message: string) => new StepwellError("forbidden", message);

const nameOf = ({ name }: Caller) => `the token ${JSON.stringify(name)}`;

/** Some of a caller's globs, for a message. */
function globsOf({ runs: { patterns } }: Caller): string {
  const shown = patterns.slice(0, 5).map((pattern) => JSON.stringify(pattern)).join(", ");
  return shown === "" ? "none" : patterns.length > 5 ? `${shown}, …` : shown;
}
