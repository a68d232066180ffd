/** PUT /v1/runs/{run}/checkpoint: restores a run from a file, under its own or a new id. */
import { StepwellError } from "../src/errors.ts";
import type { Restoration } from "../src/run/api/checkpoints.ts";
import type { RunDescription } from "../src/run/api/run_description.ts";
import type { TensorTarget } from "../src/tensor.ts";
import { HEADER_BYTES_MAX } from "../src/wire/safetensors_header.ts";
import { answerRun } from "./http/answer_run.ts";
import { receiveFile } from "./http/receive_body.ts";
import { outsidePath } from "./http/path_prefix.ts";
import type { Register } from "./http/context.ts";
import { oneChange, sayReplayed } from "./http/idempotency.ts";
import { preconditions } from "./http/preconditions.ts";
import {
  answers,
  CREATED_HEADERS,
  createRoute,
  fileBody,
  IDEMPOTENCY_KEY,
  IF_MATCH,
  json,
  mount,
  NoQuery,
  RunParams,
  STATE_HEADERS,
  TENSOR_BODY_ERRORS,
} from "./contract/operation.ts";
import { Run } from "./contract/run_schemas.ts";

export const route = createRoute({
  method: "put",
  path: "/v1/runs/{run}/checkpoint",
  operationId: "put_checkpoint",
  "x-required-scope": "write",
  tags: ["checkpoint"],
  summary: "Restore the run",
  description:
    "What `get_checkpoint` gave, into this run or into one that does not exist yet. A new version either " +
    "way; `If-None-Match: *` refuses to overwrite a run.",
  parameters: [IF_MATCH, IDEMPOTENCY_KEY],
  request: { params: RunParams, query: NoQuery, body: fileBody("A checkpoint.") },
  responses: answers({
    200: json("The restored run.", Run, STATE_HEADERS),
    201: json("The run that was made.", Run, CREATED_HEADERS),
  }, [
    ...TENSOR_BODY_ERRORS,
    "version_mismatch",
    "key_in_progress",
    "key_reused",
    "storage_full",
    "storage_failed",
    "unknown_class",
    "invalid_config",
    "run_too_large",
    "too_many_runs",
    "out_of_memory",
  ]),
});

export const register: Register = (app, services) => {
  const outside = outsidePath(services.settings);
  mount(app, route, async (c) => {
    const { registry, settings } = services;
    const { run: id } = c.req.valid("param");
    const confirm = preconditions(c);
    using restoration = registry.restore(id);
    using once = oneChange(c, services, {
      // A run that is not there yet holds no keys.
      acquireKey: (key) => services.creations.acquire(key, id),
      find: restoration.earlier,
    });
    // A retry of a request with a key names the version before its own restore.
    if (c.req.header("Idempotency-Key") === undefined) confirm(await restoration.current());
    const { target, begin } = deferred(restoration), { recall } = restoration;
    const bytesMax = settings.STEPWELL_BODY_BYTES_MAX, headerBytesMax = HEADER_BYTES_MAX;
    await receiveFile(c, services, { bytesMax, headerBytesMax, target, recall, begin });
    const answer = (run: RunDescription, created: boolean) => {
      if (created) c.header("Location", outside(c, `/v1/runs/${id}`));
      return answerRun(c, run, registry, { status: created ? 201 : 200, run });
    };
    const current = await restoration.current();
    const { key, earlier } = once.use();
    if (earlier) {
      sayReplayed(c);
      // A long description was not kept: then it is the present one.
      return answer(earlier.run ?? (await registry.open(id)).describe(), earlier.created === true);
    }
    confirm(current);
    const { description, created } = await restoration.commit(key);
    return answer(description, created);
  });
};

/** A target that is created when the metadata, which comes first, has described the run. */
function deferred(restoration: Restoration) {
  let begun: TensorTarget | undefined;
  const target = () => {
    if (begun) return begun;
    throw new StepwellError("malformed_safetensors", "Cannot restore the run: the file has no __metadata__");
  };
  return {
    *begin(metadata: ReadonlyMap<string, string>) {
      begun = yield* restoration.begin(metadata);
    },
    target: {
      dense: (name, tensor) => target().dense(name, tensor),
      sparse: (name, indices, values) => target().sparse(name, indices, values),
      none: (name) => target().none(name),
    } satisfies TensorTarget,
  };
}
