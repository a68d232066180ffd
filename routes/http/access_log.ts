/**
 * The access log: one JSON line and one count per request, with the outcome and the time that it took. It contains no
 * bodies, no headers and of tokens only their names.
 */
import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import { accessRecord } from "./access_record.ts";
import type { AppEnv, Services } from "./context.ts";

/** `ms` is the time until the answer was ready to be sent. The bytes of a stream are sent after that. */
export function accessLog(services: Services): MiddlewareHandler<AppEnv> {
  const { now } = services, record = accessRecord(services);
  return async function accessLog(c, next) {
    const start = now();
    const said = c.req.header("X-Request-Id");
    if (said !== undefined && CLIENT_ID.test(said)) c.set("clientRequestId", said);
    await next();
    record({
      requestId: c.get("requestId"),
      clientRequestId: c.get("clientRequestId"),
      token: c.get("caller")?.name,
      address: c.get("address"),
      method: KNOWN_METHODS.has(c.req.method) ? c.req.method : "other",
      route: routePath(c, -1).replaceAll(/:(\w+)/g, "{$1}"),
      run: c.req.param("run"),
      status: c.res.status,
      code: c.get("code"),
      ms: now() - start,
      bytesIn: c.get("bytesIn") ?? 0,
      bytesOut: Number(c.res.headers.get("Content-Length") ?? 0),
    });
  };
}

/** What of a caller's X-Request-Id may stand in the log. */
const CLIENT_ID = /^[\w=.:+-]{1,255}$/;

const KNOWN_METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
