/** GET /v1/runs/{run}/events: streams the events of a run. */
import { StepwellError } from "../src/errors.ts";
import type { RunSession } from "../src/run/api/run_session.ts";
import { revocation } from "./http/access.ts";
import { clientOf } from "./http/client.ts";
import type { Register, Services } from "./http/context.ts";
import { EventFeed } from "./contributions/event_feed.ts";
import { eventStream } from "./contributions/event_stream.ts";
import { headers } from "./http/headers.ts";
import { answers, createRoute, mount, requestHeader, RunParams, z } from "./contract/operation.ts";

const EXAMPLE = [
  "retry: 2000",
  "",
  "id: 4.1",
  "event: state",
  'data: {"round":2,"mode":"round","iterations":2,"version":2,"accepted":0,"missing":2,"deadline":null}',
  "",
  "",
].join("\n");

const DESCRIPTION = `Server-sent events, each told of once it is on disk. The data is JSON; \`iterations\` and
\`version\`, after the change, are always in it.

| event | data |
| - | - |
| \`state\` | where the run is now: \`mode, round, accepted, missing, deadline\`; first of all, for a new reader |
| \`contribution_accepted\` | \`round, client_id, contributions, missing, deadline\` |
| \`contribution_withdrawn\` | \`round, client_id, contributions, missing, deadline\` |
| \`round_dropped\` | \`round, reason, contributions\` |
| \`step_applied\` | the figures of the step, without those of its variables |
| \`step_diverged\` | \`tensors\`: a list of \`variable, slot, count, before\`; the step left so many numbers that are not finite, \`more\`: how many tensors the list leaves out |
| \`round_opened\` | \`round\` |
| \`run_changed\` | \`changed\`: what was set, \`variables\`, \`weights\` or \`optimizer\` |
| \`gap\` | as \`state\`, in place of events that are no longer kept |

A reader that comes back with \`Last-Event-ID\` gets what it has missed. A comment comes when nothing else has for a
while. The stream ends when the run is deleted or replaced, the token is revoked, or the service stops.`;

export const route = createRoute({
  method: "get",
  path: "/v1/runs/{run}/events",
  operationId: "get_events",
  "x-required-scope": "read",
  tags: ["rounds"],
  summary: "Watch the run",
  description: DESCRIPTION,
  parameters: [requestHeader("Last-Event-ID", "Go on after this event.", "4.1")],
  request: {
    params: RunParams,
    query: z.strictObject({
      last_event_id: z.string().max(64).optional().openapi({
        description: "As Last-Event-ID, which counts more.",
        example: "4.1",
      }),
    }),
  },
  responses: answers({
    200: {
      description: "The events, for as long as they are read.",
      headers: headers("X-Request-Id", "Cache-Control", "X-Accel-Buffering"),
      content: { "text/event-stream": { schema: z.string().openapi({ example: EXAMPLE }) } },
    },
  }, ["unknown_run", "busy", "shutting_down", "out_of_memory", "run_damaged", "storage_failed"]),
});

/** The longest tick, and its part for each open stream: with few of them events are hardly ever held back. */
const TICK_MS_MAX = 50, TICK_MS_PER_STREAM = 0.1;

/** The feed of a run, which all of its streams share. */
function feeds({ registry, settings, streams }: Services): (run: RunSession) => EventFeed {
  const open = new WeakMap<RunSession, EventFeed>();
  return (run) => {
    const present = open.get(run);
    if (present) return present;
    const feed: EventFeed = new EventFeed({
      run,
      lease: registry.lease(run.id),
      heartbeatMs: 1000 * settings.STEPWELL_HEARTBEAT_SECONDS,
      tickMs: () => Math.min(streams.open * TICK_MS_PER_STREAM, TICK_MS_MAX),
      // After a failure there may be another one by now.
      onEnd: () => void (open.get(run) === feed && open.delete(run)),
    });
    open.set(run, feed);
    return feed;
  };
}

export const register: Register = (app, services) => {
  const { registry, stopping, streams } = services;
  const feedOf = feeds(services);
  mount(app, route, async (c) => {
    const { run: id } = c.req.valid("param");
    const run = await registry.open(id);
    c.header("Content-Type", "text/event-stream");
    c.header("Cache-Control", "no-store");
    // Proxies that buffer answers would delay events.
    c.header("X-Accel-Buffering", "no");
    if (c.req.method === "HEAD") return c.body(null, 200);
    if (stopping.aborted) {
      throw new StepwellError(
        "shutting_down",
        "Cannot open a stream of events: the service was told to stop",
      );
    }
    using owned = new DisposableStack();
    owned.use(streams.acquireNow(0, clientOf(c)));
    const stream = eventStream({
      feed: feedOf(run),
      // The header first: a browser's EventSource reconnects to its first URL, with an old query.
      from: c.req.header("Last-Event-ID") || c.req.valid("query").last_event_id || undefined,
      signals: [c.req.raw.signal, stopping, ...revocation(c)],
      owned: owned.move(),
    });
    return c.body(stream, 200);
  });
};
