/**
 * The access log: one JSON line and one count per request, with the outcome and the time that it took. It contains no
 * bodies, no headers and of tokens only their names.
 */
import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import type { AppEnv, Services } from "./context.ts";

/** `ms` is the time until the answer was ready to be sent. The bytes of a stream are sent after that. */
export function accessLog({ log, metrics, now, settings }: Services): MiddlewareHandler<AppEnv> {
  const everyRequest = settings.STEPWELL_LOG === "requests";
  return async function accessLog(c, next) {
    const start = now();
    const said = c.req.header("X-Request-Id");
    if (said !== undefined && CLIENT_ID.test(said)) c.set("clientRequestId", said);
    await next();
    const ms = now() - start;
    const { method, route, status } = {
      method: KNOWN_METHODS.has(c.req.method) ? c.req.method : "other",
      route: routePath(c, -1).replaceAll(/:(\w+)/g, "{$1}"),
      status: c.res.status,
    };
    const bytesIn = c.get("bytesIn") ?? 0;
    const bytesOut = Number(c.res.headers.get("Content-Length") ?? 0);
    metrics.request({ method, route, status }, { seconds: ms / 1000, bytesIn, bytesOut });
    if (!everyRequest) return;
    log({
      level: "info",
      request_id: c.get("requestId"),
      client_request_id: c.get("clientRequestId"),
      token: c.get("caller")?.name,
      method,
      route,
      run: c.req.param("run"),
      status,
      code: c.get("code"),
      ms: Math.round(ms * 1000) / 1000,
      bytes_in: bytesIn,
      bytes_out: bytesOut,
    });
  };
}

/** What of a caller's X-Request-Id may stand in the log. */
const CLIENT_ID = /^[\w=.:+-]{1,255}$/;

const KNOWN_METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
