/** GET /v1/runs/{run}/events: streams the events of a run. */
import { StepwellError } from "../src/errors.ts";
import { revocation } from "./http/access.ts";
import type { Register } from "./http/context.ts";
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

/** So many streams get each event at once. With more, each pauses for so many milliseconds for each that is open. */
const UNPAUSED = 16, PAUSE_MS = 3;

export const register: Register = (app, { registry, settings, stopping, streams }) =>
  mount(app, route, (c) => {
    const { run: id } = c.req.valid("param");
    const run = registry.get(id);
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
    using unsent = new DisposableStack();
    unsent.use(streams.acquireNow());
    const lease = unsent.use(registry.lease(id));
    const stream = eventStream({
      run,
      lease,
      // The header first: a browser's EventSource reconnects to its first URL, with an old query.
      from: c.req.header("Last-Event-ID") || c.req.valid("query").last_event_id || undefined,
      pauseMs: () => streams.open > UNPAUSED ? streams.open * PAUSE_MS : 0,
      heartbeatSeconds: settings.STEPWELL_HEARTBEAT_SECONDS,
      signals: [c.req.raw.signal, stopping, ...revocation(c)],
      owned: unsent.move(),
    });
    return c.body(stream, 200);
  });
