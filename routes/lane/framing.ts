/**
 * What a head says of its request: the URL, how long the body is, and whether the connection stays. Invariant: a
 * request whose body could be given two lengths, or whose host could be given two names, is refused.
 */
import { type Head, malformed } from "./head.ts";

export interface Framing {
  /** Host and port as the request names them; undefined in HTTP/1.0 without Host. */
  readonly authority: string | undefined;
  /** Path and query; `*` of OPTIONS stays. */
  readonly path: string;
  /** Bytes of the body; undefined: it comes in chunks. */
  readonly length: number | undefined;
  /** Whether the client wants the connection to stay open. */
  readonly isKept: boolean;
  /** Whether the client waits for `100 Continue` before it sends the body. */
  readonly isAwaiting: boolean;
}

/** Throws malformed_request. */
export function framingOf({ method, target, minor, fields }: Head): Framing {
  let host: string | undefined, length: string | undefined, encoding: string | undefined;
  let isClosed = false, isKept = false, isAwaiting = false;
  for (const [name, value] of fields) {
    if (name === "host") host = once("Host", host, value);
    else if (name === "content-length") length = once("Content-Length", length, value);
    else if (name === "transfer-encoding") encoding = once("Transfer-Encoding", encoding, value);
    else if (name === "expect") isAwaiting = value.toLowerCase() === "100-continue";
    else if (name === "connection") {
      for (const option of value.toLowerCase().split(",")) {
        if (option.trim() === "close") isClosed = true;
        else if (option.trim() === "keep-alive") isKept = true;
      }
    }
  }
  if (minor === 1 && !host) throw malformed("it has no Host");
  return {
    ...pathOf(method, target, host),
    length: lengthOf(length, encoding, minor),
    isKept: !isClosed && (minor === 1 || isKept),
    isAwaiting: isAwaiting && minor === 1,
  };
}

function once(name: string, known: string | undefined, value: string): string {
  if (known !== undefined) throw malformed(`it has ${name} twice`);
  return value;
}

function lengthOf(
  length: string | undefined,
  encoding: string | undefined,
  minor: 0 | 1,
): number | undefined {
  if (encoding !== undefined) {
    if (length !== undefined) throw malformed("it has both Content-Length and Transfer-Encoding");
    if (minor === 0) throw malformed("HTTP/1.0 has no Transfer-Encoding");
    if (encoding.toLowerCase() !== "chunked") throw malformed("its Transfer-Encoding must be chunked");
    return undefined;
  }
  if (length === undefined) return 0;
  const bytes = /^\d{1,16}$/.test(length) ? Number(length) : NaN;
  if (Number.isSafeInteger(bytes)) return bytes;
  throw malformed(`its Content-Length is ${JSON.stringify(length.slice(0, 40))}, must be a whole number`);
}

const ABSOLUTE = /^https?:\/\/([^/?@]+)(.*)$/i;

function pathOf(
  method: string,
  target: string,
  host: string | undefined,
): Pick<Framing, "authority" | "path"> {
  const authority = host || undefined;
  if (target.startsWith("/") || (target === "*" && method === "OPTIONS")) return { authority, path: target };
  const [, named, rest = ""] = ABSOLUTE.exec(target) ?? [];
  if (named === undefined) throw malformed("its target must be a path, or a URL with this host");
  if (host !== undefined && named.toLowerCase() !== host.toLowerCase()) {
    throw malformed("its target names another host than Host");
  }
  return { authority: named, path: rest.startsWith("/") ? rest : `/${rest}` };
}
