/**
 * The path prefix under which callers see the service behind a proxy: of STEPWELL_PATH_PREFIX, or of a proxy that
 * STEPWELL_TRUSTED_PROXIES names. Routing takes paths with and without it, because a proxy may strip it or pass it on.
 */
import { getPath } from "hono/utils/url";
import type { Settings } from "../../src/config.ts";
import { PATH_PREFIX } from "../../src/settings/door.ts";
import { peerOf } from "./client.ts";
import type { AppContext } from "./context.ts";
import { type IsTrusted, trustedProxies } from "./proxies.ts";

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
  const { STEPWELL_PATH_PREFIX } = settings;
  const isTrusted = trustedProxies(settings);
  if (isTrusted === undefined) return (_c, path) => STEPWELL_PATH_PREFIX + path;
  return (c, path) => (forwarded(c, isTrusted) ?? STEPWELL_PATH_PREFIX) + path;
}

/** The prefix that a trusted proxy tells. Several proxies in a row each add theirs, the outermost first. */
function forwarded(c: AppContext, isTrusted: IsTrusted): string | undefined {
  const header = c.req.header(FORWARDED);
  const address = peerOf(c);
  if (header === undefined || address === undefined || !isTrusted(address)) return undefined;
  const prefix = header.split(",").map((each) => each.trim().replace(/\/+$/, "")).join("");
  return prefix === "" || PATH_PREFIX.test(prefix) ? prefix : undefined;
}
