/**
 * Answers about runs: JSON or safetensors, with entity tag and length. It knows no operation.
 *
 * Invariant: a publication is released exactly once, even if the caller disconnects or sent a HEAD.
 */
import { StepwellError } from "../../src/errors.ts";
import type { Publication, PublishedFile, RunSession } from "../../src/run/api/run_session.ts";
import type { ChangeAnswer } from "../../src/run/api/steps.ts";
import type { Releasable } from "../../src/releasable.ts";
import type { NamedTensor } from "../../src/tensor.ts";
import { inSlices } from "../../src/slices.ts";
import { elementCount } from "../../src/tensor.ts";
import { type JsonPieces, plainJson, recordJson, tensorJson } from "../../src/wire/json_writer.ts";
import { encodingSafetensors, fileOf, type WritableTensor } from "../../src/wire/safetensors_writer.ts";
import { answerJson } from "./answer_json.ts";
import { answerPieces } from "./answer_pieces.ts";
import type { AppContext, Services } from "./context.ts";
import { sayReplayed } from "./idempotency.ts";
import { isSafetensors, type TensorType } from "./negotiate.ts";
import { etagOf, isFresh } from "./preconditions.ts";

/** A number takes about 12 to 20 bytes of JSON text. */
const JSON_BYTES_PER_ELEMENT = 16;

export { answerJson, answerJsonText } from "./answer_json.ts";

interface Fresh {
  readonly run: { readonly version: number };
  /** Whether the resource that path and query name exists. A 304 must not hide that it does not. */
  readonly exists?: () => boolean;
  /** Whether there is nothing new for the caller, regardless of its entity tags. */
  readonly isOld?: boolean;
}

/** Answers 304 if the caller has this version already, else calls `answer`. */
export function answerUnlessFresh(
  c: AppContext,
  { run, exists = () => true, isOld = false }: Fresh,
  answer: () => Response | Promise<Response>,
): Response | Promise<Response> {
  if (!(isOld || isFresh(c, run)) || !exists()) return answer();
  c.header("ETag", etagOf(run));
  return c.body(null, 304);
}

interface TensorSource {
  readonly tensors: readonly WritableTensor[];
  readonly file?: PublishedFile | undefined;
}

interface TensorAnswer {
  readonly type: TensorType;
  readonly run: { readonly version: number };
  readonly source: TensorSource;
  /** In safetensors they are in `__metadata__`, as JSON if they are not strings. */
  readonly figures: Readonly<Record<string, unknown>>;
  /** The JSON body, with the values. */
  readonly json: () => JsonPieces;
  /** The owner of the tensors, released when they have been sent. */
  readonly owner?: Releasable;
}

/** Answers with tensors in the negotiated type. */
export async function answerTensors(
  c: AppContext,
  services: Services,
  answer: TensorAnswer,
): Promise<Response> {
  const { type, source, figures, owner } = answer;
  // The run may go on while the answer is written.
  const run = { version: answer.run.version };
  if (!isSafetensors(type)) {
    using _owner = owner;
    checkJsonSize(source.tensors, services);
    return await answerPieces(c, answer.json(), { run });
  }
  const metadata = Object.fromEntries(
    Object.entries(figures).map(([key, value]) => [key, figureText(value)]),
  );
  const onEnd = () => owner?.release();
  const file = source.file
    ? fileOf([source.file.header(metadata), source.file.data], onEnd)
    : await inSlices(encodingSafetensors(source.tensors, { metadata, onEnd }));
  c.header("ETag", etagOf(run));
  c.header("Content-Type", type);
  c.header("Content-Length", String(file.byteLength));
  if (c.req.method !== "HEAD") return c.body(file.body, 200);
  if (file.body instanceof ReadableStream) file.body.cancel();
  return c.body(null, 200);
}

interface VariablesAnswer {
  readonly type: TensorType;
  readonly publication: Publication;
}

/** Answers with published values and no other figures. */
export function answerVariables(
  c: AppContext,
  services: Services,
  answer: VariablesAnswer,
): Promise<Response> {
  const { publication } = answer, { iterations, version } = publication;
  const figures = { iterations, version };
  return answerTensors(c, services, {
    type: answer.type,
    run: publication,
    source: publication,
    figures,
    json: () => valuesJson(figures, publication.tensors),
    owner: publication,
  });
}

interface PreferredAnswer {
  /** The type for the new values; undefined: not wanted. */
  readonly representation: TensorType | undefined;
  readonly plain: () => Response | Promise<Response>;
  readonly full: (type: TensorType) => Promise<Response>;
}

/**
 * Answers a change that has been made, so it never refuses. If the new values are not available (no memory for a
 * copy, too many for JSON), it leaves them out, as RFC 7240 allows. `Preference-Applied` says whether they are there.
 */
export async function answerPreferred({ representation, plain, full }: PreferredAnswer): Promise<Response> {
  if (representation === undefined) return plain();
  try {
    const answer = await full(representation);
    // Appended: `wait` may have been applied too.
    answer.headers.append("Preference-Applied", "return=representation");
    return answer;
  } catch (error) {
    if (error instanceof StepwellError) return plain();
    throw error;
  }
}

/** Where the run stands now. To be asked in the turn of a change: another change may follow at once. */
export function standingOf({ iterations, version }: RunSession): ChangeAnswer {
  return { iterations, version };
}

/**
 * The values after a change. To be asked in its turn, as above: those of a later version are not those of the change.
 * Undefined: there is no memory for a copy.
 */
export function valuesOf(run: RunSession): Publication | undefined {
  try {
    return run.publish();
  } catch (error) {
    if (error instanceof StepwellError) return undefined;
    throw error;
  }
}

/** Answers a change other than a step: iterations and version, and the values if the caller asked for them. */
export function answerChange(c: AppContext, services: Services, { made, representation, values }: {
  /** Where the run stood after the change. */
  readonly made: ChangeAnswer;
  readonly representation?: TensorType | undefined;
  /** They are released. */
  readonly values?: Publication | undefined;
}): Promise<Response> {
  return answerPreferred({
    representation: values && representation,
    plain: () => {
      values?.release();
      return answerJson(c, made, { run: made });
    },
    full: (type) => answerVariables(c, services, { type, publication: values as Publication }),
  });
}

/** Answers a repeated change with where the run stood after the first one. The run may be past it. */
export function answerChangedBefore(c: AppContext, { iterations, version }: ChangeAnswer): Response {
  sayReplayed(c);
  return answerJson(c, { iterations, version }, { run: { version } });
}

function figureText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** V8 has no strings of more than half a GiB, and building a long one blocks all other requests. */
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

/** The figures, and `variables` by name. */
export function valuesJson(
  figures: Readonly<Record<string, unknown>>,
  tensors: readonly NamedTensor[],
): JsonPieces {
  const values = function* (): Generator<readonly [string, JsonPieces]> {
    for (const { name, values, shape } of tensors) yield [name, tensorJson(values, shape)];
  };
  return recordJson([
    ...Object.entries(figures).map(([name, value]) => [name, plainJson(value)] as const),
    ["variables", recordJson(values())],
  ]);
}

/** A number as JSON: NaN and the infinities become strings. */
export function sayable(x: number): number | string {
  return Number.isFinite(x) ? x : String(x);
}
