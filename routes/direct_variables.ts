/**
 * GET /v1/runs/{run}/variables without the app: a small run as safetensors, or 304 for a client that has the version.
 * get_variables.ts says what the operation does; this does the same.
 */
import { unmapped } from "./http/forwarded.ts";
import type { RunSession } from "../src/run/api/run_session.ts";
import type { DirectAnswers } from "./direct_answers.ts";
import type { Services } from "./http/context.ts";
import { RunId } from "./http/ids.ts";
import { BYTES_TYPE, SAFETENSORS_TYPE } from "./http/negotiate.ts";
import { etagOf } from "./http/preconditions.ts";
import type { Direct } from "./lane/direct.ts";

const ROUTE = "/v1/runs/{run}/variables";
const PATH = /^\/v1\/runs\/([^/?%]+)\/variables$/;
/** One entity tag. Lists are for the app. */
const TAG = /^(?:W\/)?("[\x21\x23-\x7e]*")$/;
/** A longer file is streamed. */
const FILE_BYTES_MAX = 64 << 10;

/** Of the largest body that a run takes: it grows with the values and the names, and is known without a look at them. */
const SMALL_RUN_BYTES_MAX = 2 << 20;

const EMPTY = new Uint8Array(0);

interface Answer {
  readonly status: 200 | 304;
  readonly lines: string;
  readonly body: Uint8Array;
}

export function directVariables(services: Services, answers: DirectAnswers): Direct {
  const { registry, now } = services;
  return (head, framing) => {
    const [, id] = PATH.exec(framing.path) ?? [];
    if (head.method !== "GET" || id === undefined || !RunId.safeParse(id).success) return undefined;
    if (framing.length !== 0) return undefined;
    const fields = answers.fieldsOf(head, framing, ["if-none-match"]), type = fields?.get("accept");
    if (!fields || (type !== SAFETENSORS_TYPE && type !== BYTES_TYPE)) return undefined;
    const tags = fields.get("if-none-match"), tag = TAG.exec(tags ?? "")?.[1];
    if (tags !== undefined && tag === undefined) return undefined;
    return (_body, { hostname }) => {
      const start = now(), caller = answers.callerOf(fields, id);
      if (!caller) return undefined;
      const lease = registry.lease(id);
      let answer: Answer | undefined;
      try {
        const run = registry.present(id);
        if (run) answer = tag === etagOf(run) ? unchanged(run) : fileAnswer(run, type);
      } catch {
        // The app refuses.
      }
      if (!answer) {
        lease.release();
        return undefined;
      }
      const { status, lines, body } = answer;
      const address = unmapped(hostname);
      const request = { id, caller, address, method: "GET", route: ROUTE, start, bytesIn: 0 };
      return lease.durable()
        .then(() => answers.answer(request, status, lines, body), (error) => {
          const refusal = answers.refuse(request, error);
          refusal.headers.set("vary", "Accept");
          return refusal;
        })
        .finally(() => lease.release());
    };
  };
}

function unchanged(run: RunSession): Answer {
  return { status: 304, lines: `etag: ${etagOf(run)}\r\nvary: Accept\r\n`, body: EMPTY };
}

/** Undefined if the file is long. */
function fileAnswer(run: RunSession, type: string): Answer | undefined {
  // Nothing is copied of a run that is too large anyway.
  if (run.limits.bodyBytesMax("safetensors") > SMALL_RUN_BYTES_MAX) return undefined;
  using publication = run.publish();
  const { file, iterations, version } = publication;
  if (!file) return undefined;
  const head = file.header({ iterations: String(iterations), version: String(version) });
  const length = head.length + file.data.length;
  if (length > FILE_BYTES_MAX) return undefined;
  const body = new Uint8Array(length);
  body.set(head);
  body.set(file.data, head.length);
  const lines = `content-length: ${length}\r\ncontent-type: ${type}\r\netag: ${
    etagOf(run)
  }\r\nvary: Accept\r\n`;
  return { status: 200, lines, body };
}
