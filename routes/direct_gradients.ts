/**
 * POST /v1/runs/{run}/gradients without the app, for the requests of a client that trains: one safetensors file, no
 * query, no header that asks for anything. apply_gradients.ts says what the operation does; this does the same.
 *
 * Invariant: whatever would be refused is left to the app, before anything has changed.
 */
import { Context } from "hono";
import type { ContributionAnswer, StepAnswer } from "../src/run/api/steps.ts";
import { gradientFields } from "../src/wire/metadata_fields.ts";
import { tensorFileReader } from "../src/wire/tensor_file.ts";
import { Gradients } from "./apply_gradients.ts";
import { statusOf } from "./contributions/answer_step.ts";
import { stepText } from "./contributions/step_json.ts";
import { accessRecord } from "./http/access_record.ts";
import type { AppEnv, Services } from "./http/context.ts";
import { isOwnHost } from "./http/hosts.ts";
import { RunId } from "./http/ids.ts";
import { BYTES_TYPE, JSON_TYPE, SAFETENSORS_TYPE } from "./http/negotiate.ts";
import { parseBody } from "./http/parse_body.ts";
import { etagOf } from "./http/preconditions.ts";
import { answerProblem } from "./http/problem.ts";
import { ANYBODY, type Caller } from "./http/tokens.ts";
import { type Direct, DIRECT_BODY_BYTES_MAX, type DirectAnswer } from "./lane/direct.ts";
import type { Head } from "./lane/head.ts";

const ROUTE = "/v1/runs/{run}/gradients";
const PATH = /^\/v1\/runs\/([^/?%]+)\/gradients$/;
const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/;

/** Headers that change nothing about this operation, or are looked at here. */
const PLAIN = new Set([
  "host",
  "user-agent",
  "accept",
  "accept-encoding",
  "accept-language",
  "connection",
  "content-type",
  "content-length",
  "authorization",
]);

/** Of every answer of the app. test/routes/lane/direct_test.ts compares. */
const SECURE_FIELDS = [
  ["content-security-policy", "default-src 'none'; frame-ancestors 'none'"],
  ["cross-origin-resource-policy", "same-origin"],
  ["referrer-policy", "no-referrer"],
  ["x-content-type-options", "nosniff"],
  ["x-frame-options", "DENY"],
] as const;
const SECURE_LINES = SECURE_FIELDS.map(([name, value]) => `${name}: ${value}\r\n`).join("");

const encoder = new TextEncoder();
const NO_METADATA = parseBody(Gradients, { gradients: {} });

/** Undefined where settings ask something of every request that only the app does. */
export function directGradients(services: Services, newId: () => string): Direct | undefined {
  const { settings, ownPort } = services;
  const isPlain = settings.STEPWELL_CORS_ORIGINS === "" && settings.STEPWELL_PATH_PREFIX === "" &&
    settings.STEPWELL_REQUESTS_PER_SECOND === 0;
  if (!isPlain) return undefined;
  const step = new DirectStep(services, newId);
  return (head, { authority = "", path, length, isAwaiting }) => {
    const [, id] = PATH.exec(path) ?? [];
    if (head.method !== "POST" || head.minor !== 1 || id === undefined || isAwaiting) return undefined;
    if (!length || length > DIRECT_BODY_BYTES_MAX || !RunId.safeParse(id).success) return undefined;
    const fields = plainFields(head);
    const type = fields?.get("content-type");
    if (!fields || (type !== SAFETENSORS_TYPE && type !== BYTES_TYPE)) return undefined;
    if (!isOwnHost(authority, settings, ownPort())) return undefined;
    const token = BEARER.exec(fields.get("authorization") ?? "")?.[1];
    return (body) => step.take({ id, token, body });
  };
}

/** Undefined if there is one that may mean more. */
function plainFields({ fields }: Head): ReadonlyMap<string, string> | undefined {
  const found = new Map<string, string>();
  for (const [name, value] of fields) {
    if (!PLAIN.has(name) || found.has(name)) return undefined;
    found.set(name, value);
  }
  return found;
}

interface Contribution {
  readonly id: string;
  readonly token: string | undefined;
  readonly body: Uint8Array;
}

type Step = StepAnswer | ContributionAnswer;

class DirectStep {
  readonly #services: Services;
  readonly #newId: () => string;
  readonly #record: ReturnType<typeof accessRecord>;

  constructor(services: Services, newId: () => string) {
    this.#services = services;
    this.#newId = newId;
    this.#record = accessRecord(services);
  }

  take({ id, token, body }: Contribution): Promise<DirectAnswer | Response> | undefined {
    const { registry, uploads, stopping, now } = this.#services;
    const start = now();
    const caller = this.#callerOf(token);
    if (!caller || stopping.aborted || uploads.waiting > 0) return undefined;
    if (caller.scope === "read" || !caller.runs.matches(id)) return undefined;
    const lease = registry.lease(id);
    let step: Step | undefined;
    try {
      step = this.#apply(id, caller, body);
    } finally {
      if (!step) lease.release();
    }
    if (!step) return undefined;
    const made = step;
    const sent = { id, caller, start, bytesIn: body.length };
    return lease.durable().then(() => this.#answer(made, sent), (error) => this.#refuse(error, sent))
      .finally(() => lease.release());
  }

  #callerOf(token: string | undefined): Caller | undefined {
    const { tokens } = this.#services;
    if (!tokens.areAsked) return ANYBODY;
    return token === undefined ? undefined : tokens.find(token);
  }

  /** Undefined: nothing has changed. */
  #apply(id: string, caller: Caller, body: Uint8Array): Step | undefined {
    const { registry, settings } = this.#services;
    let run, version;
    try {
      run = registry.get(id);
      if (run.mode !== "immediate") return undefined;
      const { limits } = run, bytesMax = limits.bodyBytesMax("safetensors");
      if (body.length > Math.min(bytesMax, settings.STEPWELL_BODY_BYTES_MAX)) return undefined;
      const staging = run.stage("gradients");
      try {
        let fields = NO_METADATA;
        const reader = tensorFileReader(staging, {
          fileBytes: body.length,
          headerBytesMax: limits.headerBytesMax,
          onMetadata: (metadata) => {
            if (metadata.size === 0) return;
            fields = parseBody(Gradients, { ...gradientFields(metadata), gradients: {} });
          },
        });
        reader.write(body);
        reader.close();
        const { client_id: said, weight, hyperparameters, loss, base_iteration: baseIteration } = fields;
        if (caller.clientId !== undefined && said !== undefined && said !== caller.clientId) return undefined;
        registry.confirm(run);
        version = run.version;
        const clientId = caller.clientId ?? said;
        return run.applyGradients(staging, {
          aggregate: true,
          dryRun: false,
          weight,
          hyperparameters,
          loss,
          baseIteration,
          clientId,
          key: undefined,
        });
      } finally {
        staging.release();
      }
    } catch (error) {
      // A second attempt would be a second step.
      if (run && version !== undefined && run.version !== version) throw error;
      return undefined;
    }
  }

  #answer(step: Step, sent: Sent): DirectAnswer {
    const requestId = this.#newId();
    const body = encoder.encode(stepText(step));
    const status = statusOf(step);
    this.#note(requestId, sent, { status, bytesOut: body.length });
    return {
      status,
      fields:
        `content-length: ${body.length}\r\ncontent-type: ${JSON_TYPE}\r\netag: ${
          etagOf(step)
        }\r\n${SECURE_LINES}` +
        `x-request-id: ${requestId}\r\n`,
      body,
    };
  }

  /** The step was made, and cannot be told of. */
  #refuse(error: unknown, sent: Sent): Response {
    const requestId = this.#newId();
    const c = new Context<AppEnv>(new Request("http://localhost/"), { env: {} });
    c.set("requestId", requestId);
    const response = answerProblem(c, error, this.#services.log);
    for (const [name, value] of SECURE_FIELDS) response.headers.set(name, value);
    response.headers.set("x-request-id", requestId);
    this.#note(requestId, sent, { status: response.status, bytesOut: 0, code: c.get("code") });
    return response;
  }

  #note(
    requestId: string,
    { id, caller, start, bytesIn }: Sent,
    more: { readonly status: number; readonly bytesOut: number; readonly code?: string | undefined },
  ): void {
    const ms = this.#services.now() - start;
    this.#record({
      requestId,
      token: caller.name,
      method: "POST",
      route: ROUTE,
      run: id,
      ms,
      bytesIn,
      ...more,
    });
  }
}

interface Sent {
  readonly id: string;
  readonly caller: Caller;
  readonly start: number;
  readonly bytesIn: number;
}
