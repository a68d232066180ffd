/** Whom a request comes from, where places and requests are shared among clients. */
import { isIPv6 } from "node:net";
import type { MiddlewareHandler } from "hono";
import type { AppContext, AppEnv, Services } from "./context.ts";
import { originOf, unmapped } from "./forwarded.ts";
import { trustedProxies } from "./proxies.ts";

/** The address of the other end of the connection, which may be a proxy's. Undefined without a socket, as in tests. */
export function peerOf(c: AppContext): string | undefined {
  const { remoteAddr: address } = (c.env as AppEnv["Bindings"] | undefined) ?? {};
  // A socket that listens on IPv6 and IPv4 gives IPv4 addresses a form of their own.
  return address && "hostname" in address ? unmapped(address.hostname) : undefined;
}

/** Finds out which address a request comes from, past trusted proxies. */
export function located({ settings }: Services): MiddlewareHandler<AppEnv> {
  const isTrusted = trustedProxies(settings);
  return (c, next) => {
    const peer = peerOf(c);
    if (peer === undefined || isTrusted === undefined) c.set("address", peer);
    else {
      const headers = { list: c.req.header("X-Forwarded-For"), pairs: c.req.header("Forwarded") };
      c.set("address", originOf(peer, headers, isTrusted));
    }
    return next();
  };
}

/**
 * The client: its token, unless anybody may have that, or its address. Whoever has an IPv6 address has the whole /64
 * around it. Undefined without a socket.
 */
export function clientOf(c: AppContext): string | undefined {
  const caller = c.get("caller");
  if (caller && !caller.isShared) return `token ${caller.name}`;
  const address = c.get("address");
  return address === undefined ? undefined : `address ${subnetOf(address)}`;
}

/** An IPv6 address without its second half; any other address as it is. */
export function subnetOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [before = "", after] = address.split("::");
  const groups = (text: string) => text === "" ? [] : text.split(":");
  const left = groups(before), right = groups(after ?? "");
  // An IPv4 address at the end stands for two groups.
  const missing = after === undefined ? 0 : 8 - left.length - right.length - (address.includes(".") ? 1 : 0);
  const all = [...left, ...Array<string>(missing).fill("0"), ...right];
  return `${all.slice(0, 4).map((group) => parseInt(group, 16).toString(16)).join(":")}::/64`;
}
