/** GET /metrics: figures for Prometheus. */
import type { Register } from "./http/context.ts";
import { ANSWER_HEADERS, answers, createRoute, mount, NoQuery, z } from "./contract/operation.ts";

const TEXT = "text/plain; version=0.0.4; charset=utf-8";

export const route = createRoute({
  method: "get",
  path: "/metrics",
  operationId: "get_metrics",
  "x-required-scope": "read",
  tags: ["service"],
  summary: "Get figures",
  description:
    "Requests by route and status, runs, steps, memory and uploads, in the text format of Prometheus.",
  request: { query: NoQuery },
  responses: answers({
    200: {
      description: "The figures.",
      headers: ANSWER_HEADERS,
      content: {
        "text/plain": {
          schema: z.string().openapi({ example: "# TYPE stepwell_runs gauge\nstepwell_runs 1\n" }),
        },
      },
    },
  }, []),
});

export const register: Register = (app, services) =>
  mount(app, route, (c) => c.body(services.metrics.render(services), 200, { "Content-Type": TEXT }));
