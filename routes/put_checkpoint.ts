/** PUT /v1/runs/{run}/checkpoint: restores a run from a file, under its own or a new id. */
import { StepwellError } from "../src/errors.ts";
import type { Restoration } from "../src/run/api/checkpoints.ts";
import type { TensorTarget } from "../src/tensor.ts";
import { HEADER_BYTES_MAX } from "../src/wire/safetensors_header.ts";
import { describeRun } from "./http/describe_run.ts";
import { answerJson } from "./http/answer.ts";
import { receiveFile } from "./http/receive_body.ts";
import { outsidePath } from "./http/path_prefix.ts";
import type { Register } from "./http/context.ts";
import { preconditions } from "./http/preconditions.ts";
import {
  answers,
  CREATED_HEADERS,
  createRoute,
  fileBody,
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
  parameters: [IF_MATCH],
  request: { params: RunParams, query: NoQuery, body: fileBody("A checkpoint.") },
  responses: answers({
    200: json("The restored run.", Run, STATE_HEADERS),
    201: json("The run that was made.", Run, CREATED_HEADERS),
  }, [
    ...TENSOR_BODY_ERRORS,
    "version_mismatch",
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
    confirm(restoration.current());
    const { target, onMetadata } = deferred(restoration);
    const bytesMax = settings.STEPWELL_BODY_BYTES_MAX, headerBytesMax = HEADER_BYTES_MAX;
    await receiveFile(c, services, { bytesMax, headerBytesMax, target, onMetadata });
    confirm(restoration.current());
    const { description, created } = await restoration.commit();
    if (created) c.header("Location", outside(c, `/v1/runs/${id}`));
    return answerJson(c, describeRun(description, registry), {
      status: created ? 201 : 200,
      run: description,
    });
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
    onMetadata: (metadata: ReadonlyMap<string, string>) => void (begun = restoration.begin(metadata)),
    target: {
      dense: (name, tensor) => target().dense(name, tensor),
      sparse: (name, indices, values) => target().sparse(name, indices, values),
      none: (name) => target().none(name),
    } satisfies TensorTarget,
  };
}
