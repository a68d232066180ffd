/**
 * A service with two runs in memory, as a reader of whole requests: the app with everything around it, without a socket.
 */
import assert from "node:assert/strict";
import { type ErrorCode, ERRORS, StepwellError } from "../../../src/errors.ts";
import { SPEC, startService } from "../../routes/support/harness.ts";
import { ROUND } from "./http_bodies.ts";

/** An answer has no more, however the request was. The rest of a problem's 64 KiB are its issues. */
const PROBLEM_BYTES_MAX = 80 << 10;
/** Nothing waits: neither for time, nor for another request. */
const SETTINGS = {
  STEPWELL_WAIT_SECONDS_MAX: 0,
  STEPWELL_RUNS_MAX: 6,
  STEPWELL_MEMORY_BYTES_MAX: 64 << 20,
  STEPWELL_JSON_BYTES_MAX: 1 << 20,
  STEPWELL_BODY_BYTES_MAX: 1 << 20,
  STEPWELL_CORS_ORIGINS: "https://example.org",
  STEPWELL_PATH_PREFIX: "/pre",
};

export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array<ArrayBuffer> | undefined;
}

/** A service with two runs, one of them with rounds. After so many requests there is a new one. */
const REQUESTS_MAX = 3000;

export class Served {
  #service = startService(SETTINGS);
  #requests = 0;

  async #begin(): Promise<void> {
    if (this.#requests++ % REQUESTS_MAX !== 0) return;
    this.close();
    this.#service = startService(SETTINGS);
    for (const [id, spec] of [["demo", SPEC], ["round", ROUND]] as const) {
      const made = await this.#service.send("POST", "/v1/runs", { body: { ...spec, id } });
      assert.equal(made.status, 201, await made.text());
    }
  }

  async read({ method, path, headers, body }: Sent) {
    await this.#begin();
    const { app, lines } = this.#service;
    lines.length = 0;
    const response = await app.request(path, { method, headers, ...body !== undefined && { body } });
    const text = (await bodyOf(response)).toBase64();
    // What is told of the error is in the log.
    assert.ok(
      response.status < 500 || response.status === 503,
      `${response.status} ${JSON.stringify(lines)}`,
    );
    const { status } = response, said = withoutId(atob(text));
    const shown = [...response.headers].filter(([name]) => name !== "x-request-id");
    if (status < 400) return [status, shown, said];
    throw new StepwellError(codeOf(response, atob(text), method), JSON.stringify([status, shown, said]));
  }

  close(): void {
    this.#service.losses.close();
  }
}

/** All bytes; of a stream of events, which does not end, those that come at once. */
async function bodyOf(response: Response): Promise<Uint8Array> {
  const isStream = response.headers.get("Content-Type") === "text/event-stream";
  if (!isStream || response.body === null) return await response.bytes();
  const reader = response.body.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return value ?? new Uint8Array(0);
}

/** The code of a refusal, which must be as the catalogue says. */
function codeOf({ status, headers }: Response, text: string, method: string): ErrorCode {
  if (method === "HEAD") return "invalid_request";
  assert.equal(headers.get("Content-Type"), "application/problem+json", text);
  assert.ok(text.length <= PROBLEM_BYTES_MAX, `${text.length} bytes`);
  const { code, issues } = JSON.parse(text) as { code: ErrorCode; issues: unknown[] };
  assert.equal(ERRORS[code]?.status, status, text);
  assert.ok(issues.length <= 100, text);
  return code;
}

/** Each request has a name of its own. */
const withoutId = (text: string) => text.replace(/"request_id":"[^"]*"/, "");
