/** Whom a request comes from, where places and requests are shared among clients. */
import { isIPv6 } from "node:net";
import type { AppContext, AppEnv } from "./context.ts";

/** The address of the other end of the connection. Undefined without a socket, as in tests. */
export function addressOf(c: AppContext): string | undefined {
  const { remoteAddr: address } = (c.env as AppEnv["Bindings"] | undefined) ?? {};
  // A socket that listens on IPv6 and IPv4 gives IPv4 addresses this form.
  return address && "hostname" in address ? address.hostname.replace(/^::ffff:(?=\d+\.)/i, "") : undefined;
}

/**
 * The client: its token, unless anybody may have that, or its address. Whoever has an IPv6 address has the whole /64
 * around it. Undefined without a socket.
 */
export function clientOf(c: AppContext): string | undefined {
  const caller = c.get("caller");
  if (caller && !caller.isShared) return `token ${caller.name}`;
  const address = addressOf(c);
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
