/**
 * The names that the service answers to. A page whose name was rebound to this machine ("DNS rebinding") sends that
 * name as its Host, and to the browser it is a page of the service itself.
 *
 * The server makes the URL that is routed from the Host header and the request's target. Invariant: a Host that is
 * not a plain name with an optional port is refused, so it can add nothing to the path.
 */
import type { MiddlewareHandler } from "hono";
import { isLoopback, type Settings } from "../../src/config.ts";
import { StepwellError } from "../../src/errors.ts";
import type { AppContext, AppEnv, Services } from "./context.ts";

const AUTHORITY = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::(\d{1,5}))?$/i;
/** Names that no page can have unless it comes from this machine. */
const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];

interface Named {
  readonly name: string;
  readonly port: number | undefined;
}

function parse(authority: string): Named | undefined {
  const [, name, port] = AUTHORITY.exec(authority) ?? [];
  return name === undefined
    ? undefined
    : { name: name.toLowerCase(), port: port === undefined ? undefined : Number(port) };
}

type HostSettings = Pick<Settings, "STEPWELL_HOST" | "STEPWELL_HOSTS">;

/** Whether the service answers to this name and port. */
export function isOwnHost(authority: string, settings: HostSettings, ownPort: number): boolean {
  const host = parse(authority);
  if (host === undefined) return false;
  const { STEPWELL_HOST: listens, STEPWELL_HOSTS: named } = settings;
  if (named === "" && !isLoopback(listens)) return true;
  const isAtPort = host.port === undefined || host.port === ownPort;
  if (isAtPort && (LOOPBACK_NAMES.includes(host.name) || host.name === listens.toLowerCase())) return true;
  return named.split(",").map((each) => parse(each.trim())).some((own) =>
    own?.name === host.name && (own.port === undefined || own.port === host.port)
  );
}

/** A path that no operation has. */
const NOWHERE = "/*";

/**
 * Routes requests by their target alone. A Host that is not a plain name could add to the path, and so decide which
 * operation the log and the metrics name: such a request goes nowhere, and `ownHostOnly` refuses it.
 */
export function routedByTarget(getPath: (request: Request) => string): (request: Request) => string {
  let known: string | undefined;
  return (request) => {
    const host = request.headers.get("Host");
    if (host !== null && host !== known) {
      if (parse(host) === undefined) return NOWHERE;
      known = host;
    }
    return getPath(request);
  };
}

/** The host and port of the URL that the server made of the request. */
function authorityOfUrl(url: string): string {
  const start = url.indexOf("//") + 2, end = url.indexOf("/", start);
  return end < 0 ? url.slice(start) : url.slice(start, end);
}

/** The name under which the caller reached the service. */
export function hostOf(c: AppContext): string {
  return c.req.header("Host") ?? authorityOfUrl(c.req.url);
}

/** Refuses a request for another host. Throws misdirected_request. */
export function ownHostOnly({ settings, ownPort }: Services): MiddlewareHandler<AppEnv> {
  /** The last names that were found to be the service's own: most callers use one. */
  let known: string | undefined;
  const check = (authority: string) => {
    if (authority === known) return;
    if (!isOwnHost(authority, settings, ownPort())) throw misdirected(authority);
    known = authority;
  };
  return (c, next) => {
    const header = c.req.header("Host");
    if (header !== undefined) check(header);
    // A target in absolute form, or HTTP/2, names a host of its own.
    check(authorityOfUrl(c.req.url));
    return next();
  };
}

function misdirected(authority: string): StepwellError {
  const names = "a name of this service: that of loopback with its own port, or one of STEPWELL_HOSTS";
  return new StepwellError(
    "misdirected_request",
    `Cannot answer as the host ${JSON.stringify(authority.slice(0, 100))}: must be ${names}`,
    [{ path: "header.Host", message: `Must be ${names}` }],
  );
}
