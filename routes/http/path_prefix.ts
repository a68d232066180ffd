/**
 * The path prefix under which callers see the service behind a proxy: of STEPWELL_PATH_PREFIX, or of a proxy that
 * STEPWELL_TRUSTED_PROXIES names. Routing takes paths with and without it, because a proxy may strip it or pass it on.
 */
import { BlockList, isIPv6 } from "node:net";
import { getPath } from "hono/utils/url";
import type { Settings } from "../../src/config.ts";
import { PATH_PREFIX } from "../../src/settings/door.ts";
import { addressOf } from "./client.ts";
import type { AppContext } from "./context.ts";

const FORWARDED = "X-Forwarded-Prefix";

/** The path of a request without STEPWELL_PATH_PREFIX, for routing. */
export function routedPath({ STEPWELL_PATH_PREFIX: prefix }: Settings): (request: Request) => string {
  if (prefix === "") return getPath;
  return (request) => {
    const path = getPath(request);
    return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path;
  };
}

/** Returns the function that makes the callers' path of a path of the service, for `Location` and links. */
export function outsidePath(settings: Settings): (c: AppContext, path: string) => string {
  const { STEPWELL_PATH_PREFIX, STEPWELL_TRUSTED_PROXIES } = settings;
  if (STEPWELL_TRUSTED_PROXIES === "") return (_c, path) => STEPWELL_PATH_PREFIX + path;
  const isTrusted = proxies(STEPWELL_TRUSTED_PROXIES);
  return (c, path) => (forwarded(c, isTrusted) ?? STEPWELL_PATH_PREFIX) + path;
}

/** The prefix that a trusted proxy tells. Several proxies in a row each add theirs, the outermost first. */
function forwarded(c: AppContext, isTrusted: (address: string) => boolean): string | undefined {
  const header = c.req.header(FORWARDED);
  const address = addressOf(c);
  if (header === undefined || address === undefined || !isTrusted(address)) return undefined;
  const prefix = header.split(",").map((each) => each.trim().replace(/\/+$/, "")).join("");
  return prefix === "" || PATH_PREFIX.test(prefix) ? prefix : undefined;
}

function proxies(text: string): (address: string) => boolean {
  const list = new BlockList();
  for (const proxy of text.split(",")) {
    const [address = "", bits] = proxy.trim().split("/");
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => list.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}
