/** DELETE /v1/runs/{run}/rounds/current/contributions/{client_id}: removes a contribution from the open round. */
import type { Register } from "./http/context.ts";
import {
  ANSWER_HEADERS,
  answers,
  createRoute,
  IF_MATCH,
  mount,
  NoQuery,
  RunParams,
  z,
} from "./contract/operation.ts";
import { ClientId } from "./contract/aggregation_schemas.ts";
import { checkRun } from "./http/checked_run.ts";

export const route = createRoute({
  method: "delete",
  path: "/v1/runs/{run}/rounds/current/contributions/{client_id}",
  operationId: "withdraw_contribution",
  tags: ["rounds"],
  summary: "Withdraw a contribution",
  description:
    "Takes a client's contribution out of the open round, as if it had never come. The client may " +
    "contribute again. What has become part of a step stays.",
  parameters: [IF_MATCH],
  request: { params: z.strictObject({ ...RunParams.shape, client_id: ClientId }), query: NoQuery },
  responses: answers({ 204: { description: "The round is without it.", headers: ANSWER_HEADERS } }, [
    "unknown_run",
    "unknown_contribution",
    "not_withdrawable",
    "version_mismatch",
    "shutting_down",
    "busy",
    "out_of_memory",
    "storage_full",
    "storage_failed",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, (c) => {
    const { run: id, client_id } = c.req.valid("param");
    const { run, confirm } = checkRun(c, services, id);
    confirm();
    run.withdraw(client_id);
    return c.body(null, 204);
  });
