/** PATCH /v1/runs/{run}/optimizer: overwrites hyperparameters. */
import { describeOptimizer } from "./http/describe_run.ts";
import { answerJson } from "./http/answer.ts";
import { receiveJson } from "./http/receive_body.ts";
import { sayReplayed } from "./http/idempotency.ts";
import type { Register } from "./http/context.ts";
import {
  answers,
  BODY_ERRORS,
  createRoute,
  IDEMPOTENCY_KEY,
  IF_MATCH,
  json,
  jsonBody,
  mount,
  RunParams,
  STATE_HEADERS,
  z,
} from "./contract/operation.ts";
import { Config, Member, Warnings } from "./contract/tensor_schemas.ts";
import { GroupQuery } from "./contract/group_schemas.ts";
import { checkRun, oneChangeOf } from "./http/checked_run.ts";

const OptimizerPatch = z.strictObject({ config: Config }).openapi("OptimizerPatch", {
  description: "Hyperparameters to overwrite; the others stay.",
});
const PatchedOptimizer = z.object({ ...Member.shape, warnings: Warnings }).openapi("PatchedOptimizer", {
  description: "The optimizer as it is now.",
});

export const route = createRoute({
  method: "patch",
  path: "/v1/runs/{run}/optimizer",
  operationId: "patch_optimizer",
  "x-required-scope": "write",
  tags: ["optimizer"],
  summary: "Overwrite hyperparameters",
  description:
    "Keras' `optimizer.learning_rate = …`: a number or a schedule. Groups follow in what is not their own; `group` patches one alone. What Keras would ignore is in `warnings`.",
  parameters: [IF_MATCH, IDEMPOTENCY_KEY],
  request: { params: RunParams, query: GroupQuery, body: jsonBody(OptimizerPatch, "What to overwrite.") },
  responses: answers({ 200: json("The optimizer as it is now.", PatchedOptimizer, STATE_HEADERS) }, [
    ...BODY_ERRORS,
    "unknown_run",
    "unknown_group",
    "run_replaced",
    "version_mismatch",
    "key_in_progress",
    "key_reused",
    "storage_full",
    "storage_failed",
    "unknown_class",
    "invalid_config",
    "out_of_memory",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, async (c) => {
    const { group } = c.req.valid("query");
    const { run, change } = await checkRun(c, services, c.req.valid("param").run);
    using once = oneChangeOf(run, c, services);
    using body = await receiveJson(c, services, OptimizerPatch);
    const { config } = body.value;
    const { key, earlier } = once.use();
    if (earlier) {
      sayReplayed(c);
      // A long optimizer was not kept: then it is the present one, which the version of then does not name.
      const { version, optimizer = { ...run.optimizer(group), warnings: [] } } = earlier;
      return answerJson(c, describeOptimizer(optimizer, services.registry), {
        run: earlier.optimizer ? { version } : run,
      });
    }
    // In one turn: another change may follow at once, and its version is not that of this answer.
    const { patched, version } = await change(() => {
      const patched = run.patchOptimizer(config, { key, group });
      return { patched, version: run.version };
    });
    return answerJson(c, describeOptimizer(patched, services.registry), { run: { version } });
  });
