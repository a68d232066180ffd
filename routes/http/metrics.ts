/**
 * Counts of requests, and the Prometheus text of all figures. It has only counters and gauges. The labels are a
 * closed set (routes, methods, statuses), so memory stays bounded.
 */
import type { RunRegistry } from "../../src/run/api/run_registry.ts";

interface Tally {
  count: number;
  seconds: number;
}

/** The sources of figures that are read, not counted. */
interface Gauges {
  readonly registry: Pick<RunRegistry, "figures">;
  readonly uploads: { readonly open: number; readonly waiting: number };
  readonly streams: { readonly open: number };
  readonly waits: { readonly open: number };
  /** Milliseconds since the start. */
  readonly now: () => number;
}

export class Metrics {
  readonly #requests = new Map<string, Tally>();
  #bytesIn = 0;
  #bytesOut = 0;

  /** Counts one answered request. `route` is a pattern, never a path. */
  request(label: { method: string; route: string; status: number }, cost: {
    seconds: number;
    bytesIn: number;
    bytesOut: number;
  }): void {
    const key = `method="${label.method}",route="${label.route}",status="${label.status}"`;
    const tally = this.#requests.get(key) ?? { count: 0, seconds: 0 };
    tally.count += 1;
    tally.seconds += cost.seconds;
    this.#requests.set(key, tally);
    this.#bytesIn += cost.bytesIn;
    this.#bytesOut += cost.bytesOut;
  }

  /** The Prometheus text format, version 0.0.4. */
  render({ registry, uploads, streams, waits, now }: Gauges): string {
    const runs = registry.figures();
    const requests = [...this.#requests];
    return [
      family(
        "stepwell_requests_total",
        "counter",
        "Requests answered.",
        requests.map(([k, t]) => [k, t.count]),
      ),
      family(
        "stepwell_request_seconds_total",
        "counter",
        "Time until those answers were ready.",
        requests.map(([k, t]) => [k, t.seconds]),
      ),
      counter("stepwell_body_bytes_total", "Bytes of request bodies read.", this.#bytesIn),
      counter("stepwell_answer_bytes_total", "Bytes of answers with a declared length.", this.#bytesOut),
      counter("stepwell_steps_total", "Optimizer steps applied.", runs.steps),
      counter(
        "stepwell_diverged_steps_total",
        "Steps that left numbers in variables or slots that are not finite.",
        runs.divergedSteps,
      ),
      gauge("stepwell_runs", "Open runs.", runs.runs),
      gauge("stepwell_arenas", "WebAssembly memories in use.", runs.arenas),
      gauge("stepwell_arena_bytes", "Bytes of those memories.", runs.arenaBytes),
      gauge("stepwell_run_bytes", "Bytes of variables and slots.", runs.runBytes),
      gauge("stepwell_staging_bytes", "Bytes of bodies on their way in.", runs.stagingBytes),
      gauge("stepwell_published_bytes", "Bytes of copies that readers hold.", runs.publishedBytes),
      gauge("stepwell_uploads", "Bodies being read.", uploads.open),
      gauge("stepwell_uploads_waiting", "Bodies waiting for their place.", uploads.waiting),
      gauge("stepwell_event_streams", "Streams of events being read.", streams.open),
      gauge("stepwell_waits", "Requests that wait for what is not there yet.", waits.open),
      gauge("process_resident_memory_bytes", "Resident memory of the process.", Deno.memoryUsage().rss),
      gauge("stepwell_uptime_seconds", "Time since the start.", now() / 1000),
    ].join("");
  }
}

function family(name: string, type: string, help: string, samples: (readonly [string, number])[]): string {
  const lines = samples.map(([labels, value]) => `${name}${labels === "" ? "" : `{${labels}}`} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

const counter = (name: string, help: string, value: number) => family(name, "counter", help, [["", value]]);
const gauge = (name: string, help: string, value: number) => family(name, "gauge", help, [["", value]]);
