/** Spans and metrics of OpenTelemetry, sent to a collector of the test, whichever server speaks HTTP. */
import assert from "node:assert/strict";
import { testBothDoors } from "./support/service.ts";
import { until } from "./support/waiting.ts";

interface Told {
  readonly name: string;
  readonly traceId?: string;
  readonly attributes?: readonly {
    readonly key: string;
    readonly value: Readonly<Record<string, unknown>>;
  }[];
}

/** What a collector was told: spans, and metrics by name. */
function openCollector() {
  const spans: Told[] = [], names = new Set<string>();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const said = await request.json();
    for (const { scopeSpans } of said.resourceSpans ?? []) {
      for (const scope of scopeSpans) spans.push(...scope.spans);
    }
    for (const { scopeMetrics } of said.resourceMetrics ?? []) {
      for (const scope of scopeMetrics) for (const { name } of scope.metrics) names.add(name);
    }
    return Response.json({});
  });
  return { spans, names, port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

const TRACE = "0af7651916cd43dd8448eb211c80319c";

testBothDoors("requests are told to OpenTelemetry when Deno's telemetry is on", async (start) => {
  await using collector = openCollector();
  await using service = await start({
    OTEL_DENO: "true",
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}`,
    OTEL_BSP_SCHEDULE_DELAY: "100",
    OTEL_METRIC_EXPORT_INTERVAL: "200",
  });
  const headers = { traceparent: `00-${TRACE}-b7ad6b7169203331-01` };
  assert.equal((await (await fetch(`${service.url}/healthz`, { headers })).json()).status, "ok");
  assert.equal((await fetch(`${service.url}/v1/runs/nothing`)).body?.cancel() !== undefined, true);
  const statusOf = ({ attributes = [] }: Told) =>
    attributes.map(({ key, value }) => [key, Object.values(value)[0]] as const)
      .filter(([key]) => key === "http.response.status_code").map(([, value]) => Number(value))[0];
  await until(() => collector.spans.some((span) => span.traceId === TRACE && statusOf(span) === 200));
  await until(() => collector.spans.some((span) => statusOf(span) === 404));
  const span = collector.spans.find((each) => each.traceId === TRACE);
  assert.equal(span?.name, "GET");
  await until(() => collector.names.has("http.server.request.duration"));
  await until(() => collector.names.has("http.server.active_requests"));
  const { code } = await service.stop();
  assert.equal(code, 0);
});
