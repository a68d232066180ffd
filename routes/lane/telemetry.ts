/**
 * Spans and request metrics of OpenTelemetry, which Deno's server makes by itself and a socket does not: with
 * OTEL_DENO=true Deno is the provider behind `@opentelemetry/api`. Without a provider nothing is wrapped, so that it
 * costs nothing.
 */
import {
  type Attributes,
  context,
  createNoopMeter,
  metrics,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import type { DirectCall } from "./direct.ts";
import type { LaneParts } from "./lane_parts.ts";

/** The parts, whose requests are recorded if anybody takes the records. `scheme` is that of all URLs. */
export function recorded(parts: LaneParts, scheme: "http" | "https"): LaneParts {
  if (metrics.getMeter("stepwell") === createNoopMeter()) return parts;
  const recorder = new Recorder(scheme), { handler, direct } = parts;
  return {
    ...parts,
    handler: async (request, info) => {
      const { pathname, search } = new URL(request.url);
      const parent = propagation.extract(context.active(), Object.fromEntries(request.headers));
      const { span, end } = recorder.begin(request.method, pathname, search, parent);
      try {
        const response = await context.with(trace.setSpan(parent, span), () => handler(request, info));
        end(response.status);
        return response;
      } catch (error) {
        end(500);
        throw error;
      }
    },
    direct: direct && ((head, framing) => {
      const call = direct(head, framing);
      if (!call) return undefined;
      const [path = "", query] = framing.path.split("?");
      const recordedCall: DirectCall = (body, remoteAddr) => {
        const startTime = Date.now(), answering = call(body, remoteAddr);
        if (!answering) return undefined;
        const { end } = recorder.begin(head.method, path, query ?? "", context.active(), startTime);
        return answering.then((answer) => {
          end(answer.status);
          return answer;
        }, (error) => {
          end(500);
          throw error;
        });
      };
      return recordedCall;
    }),
  };
}

/** With the names of OpenTelemetry's conventions for HTTP servers. */
class Recorder {
  readonly #scheme: string;
  readonly #tracer = trace.getTracer("stepwell");
  readonly #seconds;
  readonly #active;

  constructor(scheme: string) {
    this.#scheme = scheme;
    const meter = metrics.getMeter("stepwell");
    this.#seconds = meter.createHistogram("http.server.request.duration", {
      unit: "s",
      description: "Duration of HTTP server requests.",
    });
    this.#active = meter.createUpDownCounter("http.server.active_requests", {
      unit: "{request}",
      description: "Number of active HTTP server requests.",
    });
  }

  begin(
    method: string,
    path: string,
    query: string,
    parent: ReturnType<typeof context.active>,
    startTime = Date.now(),
  ): { readonly span: Span; readonly end: (status: number) => void } {
    const common: Attributes = { "http.request.method": method, "url.scheme": this.#scheme };
    const span = this.#tracer.startSpan(method, {
      kind: SpanKind.SERVER,
      startTime,
      attributes: { ...common, "url.path": path, "url.query": query.replace(/^\?/, "") },
    }, parent);
    const start = performance.now();
    this.#active.add(1, common);
    return {
      span,
      end: (status) => {
        const answered = { "http.response.status_code": status };
        span.setAttributes(answered);
        if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
        this.#active.add(-1, common);
        this.#seconds.record((performance.now() - start) / 1000, { ...common, ...answered });
      },
    };
  }
}
