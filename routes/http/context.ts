/**
 * What a request carries through the middleware, and what every operation may use. Holds no logic.
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

export interface Services extends Gates {
  readonly registry: RunRegistry;
  /** Keys of creations in progress. */
  readonly creations: KeysInProgress;
  readonly settings: Settings;
  readonly losses: Losses;
  readonly metrics: Metrics;
  /** Milliseconds since the start, of a clock that never goes back. */
  readonly now: () => number;
  /** The time of day: what keyed requests are dated with. */
  readonly wallClock: () => Date;
  /** One line for the operator, who gets the time with it; never a gradient, never a token. */
  readonly log: (line: Readonly<Record<string, unknown>>) => void;
  /** Aborted when the service is told to stop: new work is refused, and who waits for something waits no more. */
  readonly stopping: AbortSignal;
}

export interface AppEnv {
  Variables: {
    requestId: string;
    /** Why the request was refused, for the log. */
    code?: ErrorCode;
    /** Bytes of the body as they came, for the log. */
    bytesIn?: number;
  };
}

export type AppContext = Context<AppEnv>;
export type App = OpenAPIHono<AppEnv>;
/** What each operation's file exports: adds its route to the app. */
export type Register = (app: App, services: Services) => void;
