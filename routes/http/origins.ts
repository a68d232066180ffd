/**
 * Pages of other origins: a browser lets any page send requests to any service that the browser reaches, this machine
 * included, and tells with `Origin` and `Sec-Fetch-Site` where they come from. Programs send neither.
 *
 * Invariant: a page of an origin that the settings do not name changes nothing and reads nothing.
 */
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { StepwellError } from "../../src/errors.ts";
import type { AppContext, AppEnv, Services } from "./context.ts";
import { HEADER_NAMES } from "./headers.ts";
import { hostOf } from "./hosts.ts";

/** How long a browser may remember what a preflight answered. */
const PREFLIGHT_SECONDS = 600;
const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: ":80", https: ":443" };

/** Whether the page was loaded from the host that it asks. A proxy may have changed http to https. */
export function isSameOrigin(origin: string, host: string): boolean {
  const [, scheme = "", authority] = /^([a-z][a-z0-9+.-]*):\/\/(.+)$/i.exec(origin) ?? [];
  if (authority === undefined) return false;
  const port = DEFAULT_PORTS[scheme.toLowerCase()] ?? "";
  const plain = (text: string) =>
    (port !== "" && text.endsWith(port) ? text.slice(0, -port.length) : text).toLowerCase();
  return plain(authority) === plain(host);
}

/** Somebody who follows a link to the documents: no page reads what comes. */
const isVisit = (c: AppContext) =>
  /^\/docs$/.test(c.req.path) && c.req.header("Sec-Fetch-Mode") === "navigate" &&
  c.req.header("Sec-Fetch-Dest") === "document";

/** Refuses requests of pages of other origins. Throws origin_not_allowed. */
export function allowedOriginsOnly({ settings }: Services): MiddlewareHandler<AppEnv> {
  const origins = originsOf(settings);
  if (origins === "*") return (_, next) => next();
  return (c, next) => {
    const origin = c.req.header("Origin");
    if (origin !== undefined) {
      if (origins.includes(origin.toLowerCase())) return next();
      if (!isSameOrigin(origin, hostOf(c))) throw notAllowed(origin);
    }
    const site = c.req.header("Sec-Fetch-Site");
    if ((site === "cross-site" || site === "same-site") && !isVisit(c)) throw notAllowed(site);
    return next();
  };
}

function originsOf({ STEPWELL_CORS_ORIGINS: text }: Services["settings"]): "*" | readonly string[] {
  if (text === "*") return text;
  return text === "" ? [] : text.split(",").map((origin) => origin.trim().toLowerCase());
}

function notAllowed(where: string): StepwellError {
  return new StepwellError(
    "origin_not_allowed",
    `Cannot answer a page of another origin (${where.slice(0, 100)}): must be one of STEPWELL_CORS_ORIGINS`,
    [{ path: "header.Origin", message: "Must be one of STEPWELL_CORS_ORIGINS" }],
  );
}

/** Tells browsers what pages of the allowed origins may send and read; undefined where no origin is named. */
export function crossOrigin({ settings }: Services): MiddlewareHandler<AppEnv> | undefined {
  const origins = originsOf(settings);
  if (origins.length === 0) return undefined;
  const answer = cors({
    origin: origins === "*" ? origins : (origin) => origins.includes(origin.toLowerCase()) ? origin : null,
    allowMethods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    exposeHeaders: [...HEADER_NAMES],
    maxAge: PREFLIGHT_SECONDS,
  });
  return (c, next) => {
    // OPTIONS is a preflight only with this header.
    const isOther = c.req.method === "OPTIONS" && c.req.header("Access-Control-Request-Method") === undefined;
    return isOther ? next() : answer(c, next);
  };
}
