/**
 * Answers about runs: JSON or safetensors, with their entity tag and length. Knows no operation.
 *
 * Invariant: a publication is released exactly once, also when the caller goes away or sent a HEAD.
 */
import { StepwellError } from "../../src/errors.ts";
import type { Publication, RunSession } from "../../src/run/api/run_session.ts";
import type { Releasable } from "../../src/releasable.ts";
import type { NamedTensor } from "../../src/tensor.ts";
import { elementCount } from "../../src/tensor.ts";
import { nest, type Nested } from "../../src/wire/nested_numbers.ts";
import { encodeSafetensors, type WritableTensor } from "../../src/wire/safetensors_writer.ts";
import type { AppContext, Services } from "./context.ts";
import { isSafetensors, JSON_TYPE, type TensorType } from "./negotiate.ts";
import { etagOf, isFresh } from "./preconditions.ts";

/** A number of JSON text takes about 12 to 20 bytes. */
const JSON_BYTES_PER_ELEMENT = 16;

interface AnswerOptions {
  readonly status?: 200 | 201 | 202;
  /** The run that the answer tells of: gives the entity tag. */
  readonly run?: { readonly version: number };
}

const encoder = new TextEncoder();

export function answerJson(
  c: AppContext,
  value: unknown,
  { status = 200, run }: AnswerOptions = {},
): Response {
  if (run) c.header("ETag", etagOf(run));
  return answerJsonText(c, encoder.encode(JSON.stringify(value)), status);
}

/** JSON that is text already. */
export function answerJsonText(
  c: AppContext,
  bytes: Uint8Array<ArrayBuffer>,
  status: AnswerOptions["status"] = 200,
): Response {
  c.header("Content-Type", JSON_TYPE);
  c.header("Content-Length", String(bytes.length));
  return c.req.method === "HEAD" ? c.body(null, status) : c.body(bytes, status);
}

interface Fresh {
  readonly run: { readonly version: number };
  /** Whether what the path or the query names is there: a 304 must not hide that it is not. */
  readonly exists?: () => boolean;
  /** Whether there is nothing new for this caller, whatever its entity tags. */
  readonly isOld?: boolean;
}

/** 304 when the caller has this version already, else what `answer` gives. */
export function answerUnlessFresh(
  c: AppContext,
  { run, exists = () => true, isOld = false }: Fresh,
  answer: () => Response,
): Response {
  if (!(isOld || isFresh(c, run)) || !exists()) return answer();
  c.header("ETag", etagOf(run));
  return c.body(null, 304);
}

interface TensorAnswer {
  readonly type: TensorType;
  readonly run: { readonly version: number };
  readonly tensors: readonly WritableTensor[];
  /** In safetensors they stand in `__metadata__`, JSON where they are no text. */
  readonly figures: Readonly<Record<string, unknown>>;
  /** The JSON body around the values. */
  readonly json: () => unknown;
  /** What the tensors belong to: the answer releases it when they have been sent. */
  readonly owner?: Releasable;
}

/** Tensors as the caller wants them. */
export function answerTensors(c: AppContext, services: Services, answer: TensorAnswer): Response {
  const { type, run, tensors, figures, owner } = answer;
  if (!isSafetensors(type)) {
    using _owner = owner;
    checkJsonSize(tensors, services);
    return answerJson(c, answer.json(), { run });
  }
  const metadata = Object.fromEntries(
    Object.entries(figures).map(([key, value]) => [key, figureText(value)]),
  );
  const file = encodeSafetensors(tensors, { metadata, onEnd: () => owner?.release() });
  c.header("ETag", etagOf(run));
  c.header("Content-Type", type);
  c.header("Content-Length", String(file.byteLength));
  if (c.req.method !== "HEAD") return c.body(file.body, 200);
  if (file.body instanceof ReadableStream) file.body.cancel();
  return c.body(null, 200);
}

interface VariablesAnswer {
  readonly type: TensorType;
  readonly run: RunSession;
  readonly publication: Publication;
}

/** The published values; what they are is all the caller learns. */
export function answerVariables(c: AppContext, services: Services, answer: VariablesAnswer): Response {
  const { tensors, iterations, version } = answer.publication;
  const figures = { iterations, version };
  return answerTensors(c, services, {
    type: answer.type,
    run: answer.run,
    tensors,
    figures,
    json: () => ({ ...figures, variables: nestByName(tensors) }),
    owner: answer.publication,
  });
}

interface PreferredAnswer {
  /** The type in which the new values are wanted, if they are. */
  readonly representation: TensorType | undefined;
  readonly plain: () => Response;
  readonly full: (type: TensorType) => Response;
}

/**
 * The answer to a change that has been made, so never a refusal: new values that cannot be had (no memory for the
 * copy, too many for JSON) are left out, as a server may with a preference; `Preference-Applied` tells.
 */
export function answerPreferred({ representation, plain, full }: PreferredAnswer): Response {
  if (representation === undefined) return plain();
  try {
    const answer = full(representation);
    // Beside `wait`, which may have been applied too.
    answer.headers.append("Preference-Applied", "return=representation");
    return answer;
  } catch (error) {
    if (error instanceof StepwellError) return plain();
    throw error;
  }
}

/** Where a run stands after a change that is no step, and its values where the caller asked for them. */
export function answerChange(c: AppContext, services: Services, { run, representation }: {
  readonly run: RunSession;
  readonly representation: TensorType | undefined;
}): Response {
  return answerPreferred({
    representation,
    plain: () => answerJson(c, { iterations: run.iterations, version: run.version }, { run }),
    full: (type) => answerVariables(c, services, { type, run, publication: run.publish() }),
  });
}

function figureText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** V8 cannot hold a text of more than half a GiB, and building one stalls everybody else. */
function checkJsonSize(tensors: readonly WritableTensor[], { settings }: Services): void {
  const count = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const countMax = Math.floor(settings.STEPWELL_JSON_BYTES_MAX / JSON_BYTES_PER_ELEMENT);
  if (count <= countMax) return;
  throw new StepwellError(
    "not_acceptable",
    `Cannot answer ${count} numbers as JSON: must be at most ${countMax}; ask for application/vnd.safetensors`,
    [{ path: "header.Accept", message: "Must prefer application/vnd.safetensors for this many numbers" }],
  );
}

/** `{NAME: nested}`; a variable may be named `__proto__`. */
export function nestByName(tensors: readonly NamedTensor[]): Record<string, Nested> {
  return Object.fromEntries(tensors.map(({ name, values, shape }) => [name, nest(values, shape)]));
}

/** A figure that JSON cannot say as a number is a string. */
export function sayable(x: number): number | string {
  return Number.isFinite(x) ? x : String(x);
}
