/**
 * Where a request comes from that passed proxies: what `X-Forwarded-For` and `Forwarded` (RFC 7239) say of it.
 *
 * Each proxy adds the address that it was called from at the end of a header, behind what its caller has sent, which may
 * be made up. So the headers are read from their end, and only as far as trusted proxies wrote them.
 *
 * Invariant: nobody but a trusted proxy decides which address a request counts for. Where the headers cannot be read, or
 * contradict each other, the request counts for the last proxy that is known for certain.
 */
import { isIP } from "node:net";
import type { IsTrusted } from "./proxies.ts";

/** The headers as they came; undefined where there is none. */
export interface ForwardedHeaders {
  /** X-Forwarded-For. */
  readonly list: string | undefined;
  /** Forwarded. */
  readonly pairs: string | undefined;
}

/** The rightmost address that is not a trusted proxy's, beginning with `peer`, the other end of the connection. */
export function originOf(peer: string, { list, pairs }: ForwardedHeaders, isTrusted: IsTrusted): string {
  if (!isTrusted(peer)) return peer;
  const found = new Set<string>();
  if (list !== undefined) found.add(walk(peer, list.split(","), isTrusted));
  if (pairs !== undefined) found.add(walk(peer, forNodes(pairs), isTrusted));
  const [first = peer, ...others] = found;
  // A proxy writes one of them and may pass on the other as its caller made it up.
  return others.length === 0 ? first : peer;
}

/** Goes from the last hop to the first one that no trusted proxy has; it ends before a hop that tells no address. */
function walk(peer: string, hops: readonly string[], isTrusted: IsTrusted): string {
  let last = peer;
  for (const hop of hops.toReversed()) {
    const address = nodeAddress(hop.trim());
    if (address === undefined) return last;
    last = address;
    if (!isTrusted(address)) return address;
  }
  return last;
}

/** An address, perhaps with a port: 192.0.2.1:80, [2001:db8::1]:80, or an IPv6 address without brackets. */
const NODE = /^(?:\[([^\]]*)\]|([^\]:]*))(?::(?:\d{1,5}|_[\w.-]+))?$/;

/** The address of a hop; undefined for `unknown`, hidden names and whatever else is none. */
function nodeAddress(hop: string): string | undefined {
  const [, six, four] = NODE.exec(hop) ?? [];
  const address = six ?? four ?? hop;
  const kind = isIP(address);
  if (kind === 0 || (six !== undefined && kind !== 6)) return undefined;
  return unmapped(address);
}

/** An IPv4 address in the form that sockets for both families give it, as plain IPv4. */
export function unmapped(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "");
}

/** A pair of `Forwarded`, or none, and the separator behind it. */
const PAIR = /[ \t]*(?:([\w!#$%&'*+.^`|~-]+)=(?:([\w!#$%&'*+.^`|~-]+)|"((?:[^"\\]|\\.)*)"))?[ \t]*([;,]|$)/y;

/**
 * The `for` of each element of `Forwarded`; "" where an element has none. Read from the beginning, since a separator may
 * stand in quotes. A header that breaks the grammar anywhere tells nothing: a caller may have opened quotes that what
 * the proxy added closes.
 */
function forNodes(header: string): string[] {
  const nodes: string[] = [];
  let node: string | undefined, isEmpty = true;
  for (PAIR.lastIndex = 0;;) {
    const [, name, plain, quoted, separator] = PAIR.exec(header) ?? [];
    if (separator === undefined) return [];
    if (name !== undefined) {
      isEmpty = false;
      if (name.toLowerCase() === "for") {
        if (node !== undefined) return [];
        node = plain ?? quoted?.replaceAll(/\\(.)/g, "$1") ?? "";
      }
    }
    if (separator === ";") continue;
    if (!isEmpty) nodes.push(node ?? "");
    if (separator === "") return nodes;
    node = undefined;
    isEmpty = true;
  }
}
