/** What the lane is given by whoever opens it. It has no logic. */
import type { Settings } from "../../src/config.ts";
import type { Metrics } from "../http/metrics.ts";
import type { Direct } from "./direct.ts";

export interface LaneParts {
  readonly settings: Settings;
  readonly handler: (
    request: Request,
    info: { readonly remoteAddr: Deno.NetAddr },
  ) => Response | Promise<Response>;
  /** Answers some requests in place of the handler. */
  readonly direct?: Direct | undefined;
  readonly wallClock: () => Date;
  readonly newId: () => string;
  readonly log: (line: Readonly<Record<string, unknown>>) => void;
  readonly metrics: Pick<Metrics, "request">;
  /** An answer could not be ended. */
  readonly onFailure: (error: unknown) => void;
}
