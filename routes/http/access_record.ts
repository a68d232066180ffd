/** What is kept of an answered request: a count, and a line of the log. The line has no body, no header, no token. */
import type { Services } from "./context.ts";

export interface Answered {
  readonly requestId: string;
  readonly clientRequestId?: string | undefined;
  /** The token's name. */
  readonly token?: string | undefined;
  /** Where it came from, past trusted proxies. */
  readonly address?: string | undefined;
  readonly method: string;
  /** The pattern of the path. */
  readonly route: string;
  readonly run?: string | undefined;
  readonly status: number;
  /** Of a refusal. */
  readonly code?: string | undefined;
  readonly ms: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export function accessRecord({ log, metrics, settings }: Services): (answered: Answered) => void {
  const everyRequest = settings.STEPWELL_LOG === "requests";
  return (answered) => {
    const { requestId, clientRequestId, token, address, method, route, run, status, code } = answered;
    const { ms, bytesIn, bytesOut } = answered;
    metrics.request({ method, route, status }, { seconds: ms / 1000, bytesIn, bytesOut });
    if (!everyRequest) return;
    log({
      level: "info",
      request_id: requestId,
      client_request_id: clientRequestId,
      token,
      address,
      method,
      route,
      run,
      status,
      code,
      ms: Math.round(ms * 1000) / 1000,
      bytes_in: bytesIn,
      bytes_out: bytesOut,
    });
  };
}
