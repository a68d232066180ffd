/** Whom a request comes from, where places are shared among clients. */
import type { AppContext, AppEnv } from "./context.ts";

/** The address of the other end of the connection. Undefined without a socket, as in tests. */
export function clientOf(c: AppContext): string | undefined {
  const { remoteAddr: address } = (c.env as AppEnv["Bindings"] | undefined) ?? {};
  return address && "hostname" in address ? address.hostname : undefined;
}
