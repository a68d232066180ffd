/**
 * Around every request about one run: the run stays in memory while it is answered, and no answer leaves before every
 * change that it could tell of is on disk. So nothing that a client was told can be lost, by a step or by a read.
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
      // The answer that was ready will not be sent: its copy of the run is free again.
      await c.res.body?.cancel();
      throw error;
    }
  };
}
