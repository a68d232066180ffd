/**
 * Middleware around every request about one run. It keeps the run in memory during the request, and holds the answer
 * back until every change that it could show is on disk. So no state that a client has seen can be lost.
 */
import type { MiddlewareHandler } from "hono";
import type { AppEnv, Services } from "./context.ts";

export function leased({ registry }: Pick<Services, "registry">): MiddlewareHandler<AppEnv> {
  return async function leased(c, next) {
    using lease = registry.lease(c.req.param("run") ?? "");
    try {
      await next();
      await lease.durable();
    } catch (error) {
      // The answer was ready but is not sent: release its copy of the run.
      await c.res.body?.cancel();
      throw error;
    }
  };
}
