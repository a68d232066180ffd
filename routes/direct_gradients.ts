/**
 * POST /v1/runs/{run}/gradients without the app, for the requests of a client that trains: one safetensors file, no
 * query, no header that asks for anything. apply_gradients.ts says what the operation does; this does the same.
 *
 * Invariant: whatever would be refused is left to the app, before anything has changed.
 */
import { unmapped } from "./http/forwarded.ts";
import type { ContributionAnswer, StepAnswer } from "../src/run/api/steps.ts";
import { gradientFields } from "../src/wire/metadata_fields.ts";
import { tensorFileReader } from "../src/wire/tensor_file.ts";
import { Gradients } from "./apply_gradients.ts";
import { statusOf } from "./contributions/answer_step.ts";
import { stepText } from "./contributions/step_json.ts";
import type { DirectAnswers } from "./direct_answers.ts";
import type { Services } from "./http/context.ts";
import { RunId } from "./http/ids.ts";
import { BYTES_TYPE, JSON_TYPE, SAFETENSORS_TYPE } from "./http/negotiate.ts";
import { parseBody } from "./http/parse_body.ts";
import { etagOf } from "./http/preconditions.ts";
import type { Caller } from "./http/tokens.ts";
import { type Direct, DIRECT_BODY_BYTES_MAX } from "./lane/direct.ts";

const ROUTE = "/v1/runs/{run}/gradients";
const PATH = /^\/v1\/runs\/([^/?%]+)\/gradients$/;

const encoder = new TextEncoder();
const NO_METADATA = parseBody(Gradients, { gradients: {} });

type Step = StepAnswer | ContributionAnswer;

export function directGradients(services: Services, answers: DirectAnswers): Direct {
  const { registry, uploads, stopping, now } = services;
  return (head, framing) => {
    const [, id] = PATH.exec(framing.path) ?? [], { length } = framing;
    if (head.method !== "POST" || id === undefined || !RunId.safeParse(id).success) return undefined;
    if (!length || length > DIRECT_BODY_BYTES_MAX) return undefined;
    const fields = answers.fieldsOf(head, framing, ["content-type"]), type = fields?.get("content-type");
    if (!fields || (type !== SAFETENSORS_TYPE && type !== BYTES_TYPE)) return undefined;
    return (body, { hostname }) => {
      const start = now(), caller = answers.callerOf(fields, id);
      // Bodies that wait for a place came first.
      if (!caller || caller.scope === "read" || stopping.aborted || uploads.waiting > 0) return undefined;
      const lease = registry.lease(id);
      let step: Step | undefined;
      try {
        step = applyNow(services, { id, caller, body });
      } finally {
        if (!step) lease.release();
      }
      if (!step) return undefined;
      const made = step, address = unmapped(hostname);
      const request = { id, caller, address, method: "POST", route: ROUTE, start, bytesIn: body.length };
      const answer = () => {
        const text = encoder.encode(stepText(made));
        const lines = `content-length: ${text.length}\r\ncontent-type: ${JSON_TYPE}\r\netag: ${
          etagOf(made)
        }\r\n`;
        return answers.answer(request, statusOf(made), lines, text);
      };
      return lease.durable().then(answer, (error) => answers.refuse(request, error))
        .finally(() => lease.release());
    };
  };
}

interface Contribution {
  readonly id: string;
  readonly caller: Caller;
  readonly body: Uint8Array;
}

/** Undefined: nothing has changed. */
function applyNow(
  { registry, settings }: Services,
  { id, caller, body }: Contribution,
): Step | undefined {
  let run, version;
  try {
    run = registry.present(id);
    if (run?.mode !== "immediate") return undefined;
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
