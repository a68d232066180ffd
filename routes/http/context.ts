/**
 * The context of a request in the middleware, and the services that operations use. It has no logic.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Losses } from "../../src/autodiff/losses.ts";
import type { Settings } from "../../src/config.ts";
import type { ErrorCode } from "../../src/errors.ts";
import type { RunRegistry } from "../../src/run/api/run_registry.ts";
import type { KeysInProgress } from "../../src/run/answers/replies.ts";
import type { Gates } from "./gates.ts";
import type { Metrics } from "./metrics.ts";
import type { Caller, Tokens } from "./tokens.ts";

export interface Services extends Gates {
  readonly registry: RunRegistry;
  /** Idempotency keys of creations in progress. */
  readonly creations: KeysInProgress;
  readonly settings: Settings;
  readonly losses: Losses;
  readonly metrics: Metrics;
  readonly tokens: Tokens;
  /** The port that the service listens on; known once it listens. */
  readonly ownPort: () => number;
  /** Milliseconds since the start, from a monotonic clock. */
  readonly now: () => number;
  /** The time of day, recorded with requests that have a key. */
  readonly wallClock: () => Date;
  /** Logs one line for the operator, with the time. It must contain no gradient and no token. */
  readonly log: (line: Readonly<Record<string, unknown>>) => void;
  /** Aborted when the service is told to stop: it then refuses new work and ends all waits. */
  readonly stopping: AbortSignal;
}

export interface AppEnv {
  /** What the server knows of the connection. `c.env` is undefined without a socket, as in tests. */
  Bindings: { readonly remoteAddr?: Deno.Addr };
  Variables: {
    requestId: string;
    /** Where the request comes from, past trusted proxies; undefined without a socket. */
    address?: string | undefined;
    /** Who sends the request; absent where nobody is asked who it is, and for a wrong token. */
    caller?: Caller | undefined;
    /** The caller's own name for the request, for the log. */
    clientRequestId?: string;
    /** The code of the refusal, for the log. */
    code?: ErrorCode;
    /** Bytes of the body as received, for the log. */
    bytesIn?: number;
  };
}

export type AppContext = Context<AppEnv>;
export type App = OpenAPIHono<AppEnv>;
/** Each operation's file exports one: it adds the route to the app. */
export type Register = (app: App, services: Services) => void;
